//! What a person has to put right stops, and says what to do; and what is not ours is left alone.

use crate::world::{World, ZONE, id, request, until_done, until_refused, until_running};
use cerebro_fake_aws::{ApiError, Rule};
use cerebro_machines::{CreateMachine, MachineProvider, ProviderError};
use std::time::Duration;

async fn refusal(world: &World) -> String {
    let error = world.provider("notes").await.create(&request("m-1")).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
    assert!(world.made("m-1").is_empty());
    error.to_string()
}

#[tokio::test]
async fn a_quota_stops_at_once_and_says_where_to_ask() {
    let world = World::with(ZONE, |ec2| ec2.account.vcpu_quota = Some(100)).await;
    let error = refusal(&world).await;
    assert!(error.contains("VcpuLimitExceeded") && error.contains("Service Quotas"), "{error}");
    assert_eq!(world.server.count("RunInstances"), 1, "another type would not help");
}

#[tokio::test]
async fn wrong_keys_ended_sessions_and_wrong_clocks_are_told_apart() {
    let world = World::new().await;
    world.server.front(|front| front.keys = vec!["ANOTHER".to_owned()]);
    let error = refusal(&world).await;
    assert!(error.contains("AuthFailure") && error.contains("access key"), "{error}");
    world.server.front(|front| front.keys.clear());
    world.server.script(Rule::fail("DescribeInstances", ApiError::expired_token()));
    let error = refusal(&world).await;
    assert!(error.contains("ExpiredToken"), "{error}");
    world.server.script(
        Rule::fail(
            "DescribeInstances",
            ApiError::new(400, "RequestExpired", "Request has expired."),
        )
        .always(),
    );
    let error = refusal(&world).await;
    assert!(error.contains("RequestExpired") && error.contains("clock right"), "{error}");
    assert_eq!(world.server.count("RunInstances"), 0);
}

#[tokio::test]
async fn a_lacking_permission_is_named() {
    let world = World::new().await;
    world.server.front(|front| front.forbidden = ["RunInstances".to_owned()].into());
    let error = refusal(&world).await;
    assert!(
        error.contains("UnauthorizedOperation") && error.contains("policy that `check` prints"),
        "{error}"
    );
}

#[tokio::test]
async fn settings_that_name_what_is_not_there_are_refused_until_they_are_put_right() {
    let mut world = World::with(&ZONE.replace("\"ops\"", "\"lost\""), |_| {}).await;
    let error = refusal(&world).await;
    assert!(error.contains("InvalidKeyPair.NotFound"), "{error}");
    for zone in world.settings.zones.values_mut() {
        zone.key_name = Some("ops".to_owned());
    }
    // By the notes of the attempt that was refused.
    world.provider("notes").await.create(&request("m-1")).await.unwrap();
    assert_eq!(world.made("m-1").len(), 1);
}

#[tokio::test]
async fn a_zone_without_settings_is_refused_with_the_section_to_add() {
    let world = World::new().await;
    let elsewhere = CreateMachine { zone: "aws-eu-west-1a".parse().unwrap(), ..request("m-1") };
    let error = world.provider("notes").await.create(&elsewhere).await.unwrap_err();
    assert!(error.to_string().contains("add `[ec2.zones.aws-eu-west-1a]`"), "{error}");
}

#[tokio::test]
async fn no_type_that_is_enough_is_said_with_what_there_is() {
    let world = World::new().await;
    let mut large = request("m-1");
    large.capacity.mem = cerebro_model::Megabytes::new(1_000_000);
    let error = world.provider("notes").await.create(&large).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("1000000 MB"), "{error}");
}

#[tokio::test]
async fn a_name_that_another_intent_has_taken_is_left_alone() {
    let world = World::new().await;
    let first = world.provider("first").await;
    first.create(&request("m-1")).await.unwrap();
    until_running(&first, "m-1").await;
    let other = CreateMachine { join_token: "another store's".to_owned(), ..request("m-1") };
    let second = world.provider("second").await;
    let error = second.create(&other).await.unwrap_err();
    assert!(matches!(error, ProviderError::Taken { .. }), "{error}");
    assert_eq!(world.alive("m-1").len(), 1);
}

#[tokio::test]
async fn one_that_was_asked_for_by_other_settings_is_not_made_again() {
    let mut world = World::with(ZONE, |ec2| {
        // It is not listed for a while.
        ec2.account.timings.lag = Duration::from_secs(2);
    })
    .await;
    world.provider("lost").await.create(&request("m-1")).await.unwrap();
    for zone in world.settings.zones.values_mut() {
        zone.key_name = None;
    }
    let mut config = world.config("notes");
    config.pace.doubt.grace = Duration::from_secs(20);
    let provider = crate::world::open(config).await;
    let error = provider.create(&request("m-1")).await.unwrap_err();
    assert!(error.to_string().contains("IdempotentParameterMismatch"), "{error}");
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error}");
    until_done("create", async || provider.create(&request("m-1")).await).await;
    assert_eq!(world.made("m-1").len(), 1);
}

#[tokio::test]
async fn a_protected_instance_is_not_ended_and_that_is_said() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    let message =
        "The instance may not be terminated. Modify its 'disableApiTermination' instance attribute";
    let error = ApiError::new(400, "OperationNotPermitted", message);
    world.server.script(Rule::fail("TerminateInstances", error).always());
    let words = until_refused(async || provider.destroy(&id("m-1"), None).await).await;
    assert!(words.contains("disableApiTermination"), "{words}");
    world.server.clear_script();
    until_done("destroy", async || provider.destroy(&id("m-1"), None).await).await;
    assert!(world.alive("m-1").is_empty());
}
