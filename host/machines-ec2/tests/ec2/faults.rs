//! Each fault at each call of a machine's life: it comes to the same end.

use crate::world::{World, id, request, until_done, until_running};
use cerebro_fake_aws::{ApiError, Ec2, Fault, Service};
use cerebro_machines::{Intent, MachineProvider};
use cerebro_machines_ec2::Ec2Provider;
use cerebro_model::Digest;
use futures::StreamExt;

/// How many lives go on at once.
const AT_ONCE: usize = 8;

/// From nothing to nothing, each step until it goes well.
async fn life(provider: &Ec2Provider) {
    until_done("create", async || provider.create(&request("m-1")).await).await;
    until_running(provider, "m-1").await;
    let (intent, token) = (Intent::of("token of m-1"), Digest::of(b"the agent's own"));
    until_done("keep", async || provider.keep_proof(&id("m-1"), &intent, &token).await).await;
    let made = until_done("ask", async || provider.made(&id("m-1")).await).await;
    assert_eq!((made.intent, made.token), (intent, token));
    assert_eq!(until_done("list", async || provider.list().await).await, [id("m-1")]);
    until_done("destroy", async || provider.destroy(&id("m-1"), None).await).await;
    assert_eq!(until_done("list", async || provider.list().await).await, []);
}

fn answer(error: &ApiError) -> Fault {
    Fault::Answer(error.status, Ec2::new("us-west-2", 0).error_body(error, "r-1"))
}

/// (name, fault, only at this action)
fn faults() -> Vec<(&'static str, Fault, Option<&'static str>)> {
    let expired = ApiError::new(400, "RequestExpired", "Request has expired.");
    let run = Some("RunInstances");
    vec![
        ("500", answer(&ApiError::internal()), None),
        ("502 without words", Fault::Answer(502, "<html>".to_owned()), None),
        ("throttled", answer(&ApiError::ec2_throttled()), None),
        ("hang", Fault::Hang, None),
        ("hang behind", Fault::HangAfter, None),
        ("reset", Fault::Reset, None),
        ("reply dropped", Fault::DropReply, None),
        ("wrong key", answer(&ApiError::wrong_key()), None),
        ("session ended", answer(&ApiError::expired_token()), None),
        ("wrong clock", answer(&expired), None),
        ("no room", answer(&ApiError::no_capacity()), run),
        ("quota", answer(&ApiError::quota()), run),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_at_each_call_leaves_no_orphan_no_double_and_nothing_foreign_touched() {
    let usual = World::new().await;
    life(&usual.provider("notes").await).await;
    let calls = usual.proxy.seen();
    let actions: Vec<String> = calls.into_iter().map(|seen| seen.action).collect();
    let mut cases = Vec::new();
    for (number, action) in actions.iter().enumerate() {
        for (name, fault, only) in faults() {
            if only.is_none_or(|only| only == action) {
                cases.push((number, action.clone(), name, fault));
            }
        }
    }
    println!("{} faults at {} calls", cases.len(), actions.len());
    assert!(actions.iter().any(|it| it == "RunInstances") && actions.len() >= 8, "{actions:?}");
    let lives = cases.into_iter().map(|(number, action, name, fault)| {
        tokio::spawn(async move {
            let world = World::new().await;
            world.proxy.decide(move |seen| match seen.number == number {
                true => fault.clone(),
                false => Fault::None,
            });
            life(&world.provider("notes").await).await;
            let case = format!("{name} at call {number}, {action}");
            assert_eq!(world.made("m-1").len(), 1, "{case}: one was made, and once");
            assert!(world.alive("m-1").is_empty(), "{case}: it has ended");
            world.assert_foreign_untouched();
        })
    });
    let ended: Vec<_> = futures::stream::iter(lives).buffer_unordered(AT_ONCE).collect().await;
    for life in ended {
        life.unwrap();
    }
}
