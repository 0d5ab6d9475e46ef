//! A controller that is killed at each moment between what it intends and what comes of it: no machine is there twice, and none
//! is left that nobody knows of.

use crate::controlled::{BOUND, Cloud};
use crate::world::{World, zones};
use cerebro_api::body::DrainRequest;
use std::time::{Duration, Instant};

/// All that happens when a machine is lost or removed, and replaced, before and behind each step.
const MOMENTS: [&str; 16] = [
    "commit machine-lost: before",
    "commit machine-lost: behind",
    "commit machine-provisioning: before",
    "commit machine-provisioning: behind",
    "create: before",
    "create: behind",
    "commit machine-joined: before",
    "commit machine-joined: behind",
    "keep-proof: before",
    "keep-proof: behind",
    "destroy: before",
    "destroy: behind",
    "commit machine-terminated: before",
    "commit machine-terminated: behind",
    "sweep: before",
    "sweep: behind",
];

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_killed_there_are_no_doubles_and_no_orphans() {
    let mut world = World::new(&format!("no_repair_limits = true\n{}", zones(2, 1))).await;
    world.controlled.start();
    whole(&world).await;
    for moment in MOMENTS {
        world.controlled.die_at(moment);
        // Whoever sweeps does so at the start.
        if moment.starts_with("sweep") {
            world.controlled.stop();
            world.controlled.start();
        }
        let (machine, instances) = world.amazon.alive().await.pop_first().unwrap();
        match moment.contains("destroy") || moment.contains("terminated") {
            // A person has it removed, and it runs: whoever forgets it before it is ended leaves an orphan.
            true => {
                let asked = DrainRequest::default();
                world.controlled.client.remove_machine(&machine, &asked).await.unwrap();
            }
            false => world.amazon.terminate(&instances[0].id).await,
        }
        let begun = Instant::now();
        while !world.controlled.has_died() {
            assert!(begun.elapsed() < BOUND, "it never comes to `{moment}`");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.controlled.start();
        let replaced = async || {
            let active = world.controlled.active().await?;
            (!active.contains(&machine)).then_some(())
        };
        let what = format!("{machine} is replaced after `{moment}`");
        world.controlled.until(&what, replaced).await;
        whole(&world).await;
        println!("killed at `{moment}`: {machine} is replaced");
    }
    world.assert_others_untouched();
}

/// Waits until three machines are three instances, and nothing is on its way.
async fn whole(world: &World) {
    let settled = async || {
        let machines = world.controlled.client.machines().await.ok()?;
        let are_used = machines.iter().all(|it| it.machine.state.is_active());
        let is_whole = world.controlled.is_one_to_one(&*world.amazon).await;
        (machines.len() == 3 && are_used && is_whole).then_some(())
    };
    world.controlled.until("three machines are three instances", settled).await;
}
