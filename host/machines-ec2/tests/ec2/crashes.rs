//! A controller is killed at each call of a machine's life, before and behind it, and another one goes on.

use crate::world::{BOUND, World, id, request, until_done, until_running};
use cerebro_fake_aws::ec2::Instance;
use cerebro_fake_aws::{ApiError, Ec2, Fault, Service};
use cerebro_machines::MachineProvider;
use cerebro_machines_ec2::Ec2Provider;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const AT_ONCE: usize = 8;

/// What a controller does by its record: makes the machine until that is recorded as done, then ends it.
async fn go_on(provider: &Ec2Provider, is_made: &AtomicBool) {
    if !is_made.load(Ordering::SeqCst) {
        until_done("create", async || provider.create(&request("m-1")).await).await;
        until_running(provider, "m-1").await;
        is_made.store(true, Ordering::SeqCst);
    }
    until_done("destroy", async || provider.destroy(&id("m-1"), None).await).await;
}

fn no_room() -> Fault {
    let error = ApiError::no_capacity();
    Fault::Answer(error.status, Ec2::new("us-west-2", 0).error_body(&error, "r-1"))
}

/// Kills the controller at a call; the first launch finds no room.
async fn killed_at(world: &World, number: usize, fault: Fault, is_made: &Arc<AtomicBool>) {
    let mut runs = 0;
    world.proxy.decide(move |seen| {
        runs += usize::from(seen.action == "RunInstances");
        match seen.number == number {
            true => fault.clone(),
            false if seen.action == "RunInstances" && runs == 1 => no_room(),
            false => Fault::None,
        }
    });
    let (provider, is_made) = (world.provider("first").await, Arc::clone(is_made));
    let controller = tokio::spawn(async move { go_on(&provider, &is_made).await });
    // It may have ended before that many calls were made.
    let begun = Instant::now();
    while world.proxy.seen().len() <= number && !controller.is_finished() {
        assert!(begun.elapsed() < BOUND, "call {number} was not made");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    if !controller.is_finished() && number < world.proxy.seen().len() {
        tokio::time::timeout(BOUND, world.proxy.struck()).await.unwrap();
    }
    controller.abort();
    let _ = controller.await;
    world.proxy.decide(|_| Fault::None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_call_it_goes_on_and_makes_one() {
    let usual = World::new().await;
    killed_at(&usual, usize::MAX, Fault::None, &Arc::default()).await;
    let calls = usual.proxy.seen().len();
    let cases = (0..calls).flat_map(|number| [(number, Fault::Hang), (number, Fault::HangAfter)]);
    println!("{calls} calls, killed before and behind each");
    let lives = cases.map(|(number, fault)| {
        tokio::spawn(async move {
            let (world, is_made) = (World::new().await, Arc::default());
            killed_at(&world, number, fault.clone(), &is_made).await;
            go_on(&world.provider("first").await, &is_made).await;
            let made = world.made("m-1").len();
            assert!(made == 1, "{fault:?} at {number}: {made} were made");
            assert!(world.alive("m-1").is_empty(), "{fault:?} at {number}: it has ended");
            world.assert_foreign_untouched();
        })
    });
    let ended: Vec<_> = futures::stream::iter(lives).buffer_unordered(AT_ONCE).collect().await;
    for life in ended {
        life.unwrap();
    }
}

/// The one way to a second instance: the notes are lost with the host, the second attempt had just been made, and now there is
/// room for the first. It is ended, and the one that was first stays.
#[tokio::test]
async fn without_notes_a_second_one_may_be_made_and_is_swept() {
    let world = World::new().await;
    let mut runs = 0;
    world.proxy.decide(move |seen| {
        runs += usize::from(seen.action == "RunInstances");
        match (seen.action.as_str(), runs) {
            ("RunInstances", 1) => no_room(),
            ("RunInstances", 2) => Fault::HangAfter,
            _ => Fault::None,
        }
    });
    let provider = world.provider("first").await;
    let controller = tokio::spawn(async move { provider.create(&request("m-1")).await });
    let begun = Instant::now();
    while world.made("m-1").is_empty() {
        assert!(begun.elapsed() < BOUND, "none was made");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    controller.abort();
    let _ = controller.await;
    world.proxy.decide(|_| Fault::None);
    let provider = world.provider("lost").await;
    provider.create(&request("m-1")).await.unwrap();
    while world.alive("m-1").len() > 1 {
        assert!(begun.elapsed() < BOUND, "there are two");
        provider.sweep().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // AWS tells launches by the second, and of two in one the lower id counts as the elder.
    let age = |it: &Instance| (it.launched.as_secs(), it.id.clone());
    let eldest = world.made("m-1").into_iter().min_by_key(age).unwrap();
    assert_eq!(world.alive("m-1"), [eldest]);
    until_done("destroy", async || provider.destroy(&id("m-1"), None).await).await;
    assert!(world.alive("m-1").is_empty());
    world.assert_foreign_untouched();
}
