#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, fleet, job, policy, zone};
use super::tests::{carry_out, settle};
use super::*;
use cerebro_model::{Job, JobRecord, Spread};
use proptest::prelude::*;
use proptest::sample::subsequence;
use std::collections::{BTreeMap, BTreeSet};

const MACHINES: u32 = 5;

/// Jobs of all sorts, some of them linked, on machines some of which are labelled.
fn any_world() -> impl Strategy<Value = (Vec<Job>, Vec<Option<&'static str>>)> {
    let labels = proptest::collection::vec(
        proptest::option::of(proptest::sample::select(vec!["ssd", "hdd"])),
        MACHINES as usize,
    );
    let one = (
        (0u32..5, 1u32..25, 1u64..2500, proptest::option::of(80u16..82), 0u64..6000),
        (0usize..4, any::<bool>(), any::<bool>(), -1i64..2),
        subsequence(vec![0usize, 1, 2, 3], 0..2),
        proptest::option::weighted(0.25, 0usize..4),
    );
    (proptest::collection::vec(one, 1..5), labels).prop_map(|(jobs, labels)| {
        let name = |n: usize| format!("j{n}.b");
        let build = |(n, (size, how, apart, link)): (usize, (_, _, Vec<usize>, Option<usize>))| {
            let (count, cpu, mem, port, disk): (u32, u32, u64, Option<u16>, u64) = size;
            let (spread, require, prefer, priority): (usize, bool, bool, i64) = how;
            let mut job = job(&name(n), count, f64::from(cpu) / 10.0, mem);
            if let Some(port) = port {
                job.ports.values_mut().for_each(|own| *own = port);
            }
            // Links lead to lower numbers: no circles.
            job.linked_job = link.filter(|to| *to < n).map(|to| name(to).parse().unwrap());
            let placement = &mut job.placement;
            placement.priority = priority.try_into().unwrap();
            placement.disk = (disk > 0).then(|| cerebro_model::Megabytes::new(disk));
            placement.spread =
                [Spread::Prefer, Spread::Prefer, Spread::Require, Spread::Pack][spread];
            let values = serde_json::from_value(serde_json::json!(["ssd"])).unwrap();
            let wish = ("disk".parse().unwrap(), values);
            if require {
                placement.require.extend([wish.clone()]);
            }
            if prefer {
                placement.prefer.extend([wish]);
            }
            placement.apart_from = apart
                .into_iter()
                .filter(|other| *other != n)
                .map(|it| name(it).parse().unwrap())
                .collect();
            job
        };
        (jobs.into_iter().enumerate().map(build).collect(), labels)
    })
}

fn world(jobs: &[Job], labels: &[Option<&'static str>]) -> Fleet {
    let mut fleet = fleet(jobs, u64::from(MACHINES), at(1));
    for (observed, label) in fleet.machines.values_mut().zip(labels) {
        let labels = label.map(|value| ("disk".parse().unwrap(), value.parse().unwrap()));
        observed.machine.labels.extend(labels);
    }
    fleet
}

fn at_rest() -> Policy {
    policy(MACHINES, MACHINES)
}

/// What must hold of every fleet, by the records alone.
fn check(fleet: &Fleet) -> Result<(), TestCaseError> {
    let running = |seen: &SeenInstance| fleet.deployments[&seen.instance.deployment].job.clone();
    for (id, observed) in &fleet.machines {
        let machine = &observed.machine;
        let here: Vec<(&SeenInstance, Job)> = (fleet.instances.values())
            .filter(|seen| seen.instance.machine == *id)
            .map(|seen| (seen, running(seen)))
            .collect();
        let sum = |of: &dyn Fn(&Job) -> u64| here.iter().map(|(_, job)| of(job)).sum::<u64>();
        prop_assert!(
            sum(&|job| job.reserves(&zone()).0.millis().into())
                <= machine.capacity.cpu.millis().into()
        );
        prop_assert!(sum(&|job| job.reserves(&zone()).1.get()) <= machine.capacity.mem.get());
        let disk = |job: &Job| job.placement.disk.map_or(0, |disk| disk.get());
        prop_assert!(sum(&disk) <= machine.capacity.disk.get());
        let ports: Vec<u16> =
            here.iter().flat_map(|(it, _)| it.instance.ports.values().copied()).collect();
        prop_assert_eq!(
            ports.iter().collect::<BTreeSet<_>>().len(),
            ports.len(),
            "a port is shared"
        );
        let names: Vec<_> = here.iter().map(|(_, job)| &job.dns_basename).collect();
        for (_, job) in &here {
            for (label, values) in &job.placement.require {
                let has = machine.labels.get(label).is_some_and(|it| values.contains(it.as_str()));
                prop_assert!(has, "{} is where it may not be", job.dns_basename);
            }
            prop_assert!(!names.iter().any(|name| job.placement.apart_from.contains(name)));
            let same = names.iter().filter(|name| **name == &job.dns_basename).count();
            prop_assert!(job.placement.spread != Spread::Require || same == 1);
        }
    }
    for seen in fleet.instances.values() {
        let Some(master) = running(seen).linked_job else { continue };
        let beside = InstanceId::new(seen.instance.number, &seen.instance.zone, &master);
        let host = fleet.instances.get(&beside).map(|it| &it.instance.machine);
        prop_assert_eq!(Some(&seen.instance.machine), host, "{} is alone", seen.instance.id);
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_is_overcommitted_shared_or_where_it_may_not_be((jobs, labels) in any_world()) {
        let mut fleet = world(&jobs, &labels);
        settle(&mut fleet, &at_rest(), at(1));
        check(&fleet)?;
    }

    #[test]
    fn the_same_fleet_gives_the_same_plan_and_a_settled_one_none((jobs, labels) in any_world()) {
        let mut fleet = world(&jobs, &labels);
        prop_assert_eq!(plan(&fleet, &at_rest(), at(1)), plan(&fleet, &at_rest(), at(1)));
        // One round is all that placing takes; what else there is, are ends of deployments.
        let first = plan(&fleet, &at_rest(), at(1));
        carry_out(&mut fleet, &first, at(1));
        let again = plan(&fleet, &at_rest(), at(1));
        let places = |plan: &Plan| plan.decisions.iter().any(|it| matches!(it.step, Step::Place(_) | Step::Remove(_)));
        prop_assert!(!places(&again), "{:?}", again);
    }

    #[test]
    fn what_is_placed_stays_when_more_comes((jobs, labels) in any_world(), later in 1usize..4) {
        let (first, rest) = jobs.split_at(later.min(jobs.len()));
        let mut fleet = world(first, &labels);
        settle(&mut fleet, &at_rest(), at(1));
        let before = fleet.instances.clone();
        for (n, job) in (100..).zip(rest) {
            let record = JobRecord { job: job.clone(), revision: 1, changed_at: at(0) };
            fleet.jobs.insert(job.dns_basename.clone(), record);
            let deployment = super::testing::deployment(n, job);
            fleet.deployments.insert(deployment.id.clone(), deployment);
        }
        settle(&mut fleet, &at_rest(), at(1));
        check(&fleet)?;
        for (id, seen) in before {
            prop_assert_eq!(&fleet.instances[&id].instance.placement, &seen.instance.placement);
        }
    }

    #[test]
    fn a_new_version_keeps_all_of_this_true_and_comes_to_an_end(
        (jobs, labels) in any_world(), (others, _) in any_world(),
    ) {
        let mut fleet = world(&jobs, &labels);
        settle(&mut fleet, &at_rest(), at(1));
        for (n, job) in (100..).zip(&others).filter(|(_, job)| fleet.jobs.contains_key(&job.dns_basename)) {
            // What shares a machine now may come to be linked, or apart, only by way of a move.
            let job = Job { linked_job: fleet.jobs[&job.dns_basename].job.linked_job.clone(), ..job.clone() };
            let mut deployment = super::testing::deployment(n, &job);
            deployment.job.placement.apart_from = jobs
                .iter().find(|it| it.dns_basename == job.dns_basename)
                .map(|it| it.placement.apart_from.clone()).unwrap_or_default();
            fleet.deployments.insert(deployment.id.clone(), deployment);
        }
        for _ in 0..60 {
            let plan_now = plan(&fleet, &at_rest(), at(1));
            carry_out(&mut fleet, &plan_now, at(1));
            overcommit(&fleet)?;
            if plan_now.decisions.is_empty() {
                return Ok(());
            }
        }
        prop_assert!(false, "never at rest: {:?}", plan(&fleet, &at_rest(), at(1)));
    }

    #[test]
    fn nobody_takes_room_in_which_a_greater_priority_would_fit(
        sizes in proptest::collection::vec((1u32..5, 1u32..40, 0i64..3), 1..6),
    ) {
        let build = |(n, (count, cpu, priority)): (usize, (u32, u32, i64))| {
            let mut job = job(&format!("j{n}.b"), count, f64::from(cpu) / 10.0, 1);
            job.placement.priority = priority.try_into().unwrap();
            job
        };
        let jobs: Vec<Job> = sizes.into_iter().enumerate().map(build).collect();
        let mut fleet = fleet(&jobs, 2, at(1));
        settle(&mut fleet, &policy(2, 2), at(1));
        for short in &jobs {
            let name = &short.dns_basename;
            let has = fleet.instances.values().filter(|it| it.instance.job == *name).count();
            if has as u32 == short.deployment_layout[&zone()].instances() {
                continue;
            }
            // Were all of lower priority gone, it would still not fit.
            for machine in fleet.machines.keys() {
                let stays = fleet.instances.values().filter(|it| it.instance.machine == *machine);
                let taken: u32 = stays.map(|it| &fleet.jobs[&it.instance.job].job)
                    .filter(|job| job.placement.priority >= short.placement.priority)
                    .map(|job| job.reserves(&zone()).0.millis()).sum();
                prop_assert!(taken + short.reserves(&zone()).0.millis() > 4000, "{} was starved on {}", name, machine);
            }
        }
    }

    #[test]
    fn a_job_is_spread_to_within_one_where_room_allows(count in 1u32..40, other in 0u32..5) {
        // Nobody is ever short here: 40 of 0.1 cores, and 5 of 0.1, on machines of 4.
        let jobs = [job("a.b", other, 0.1, 1), job("b.b", count, 0.1, 1)];
        let mut fleet = fleet(&jobs, u64::from(MACHINES), at(1));
        settle(&mut fleet, &at_rest(), at(1));
        let mut counts: BTreeMap<_, u32> = fleet.machines.keys().map(|id| (id.clone(), 0)).collect();
        for seen in fleet.instances.values().filter(|it| it.instance.job.as_str() == "b.b") {
            *counts.get_mut(&seen.instance.machine).unwrap() += 1;
        }
        prop_assert_eq!(counts.values().sum::<u32>(), count);
        prop_assert!(counts.values().max().unwrap() - counts.values().min().unwrap() <= 1, "{:?}", counts);
    }

    #[test]
    fn what_is_kept_between_looks_is_what_a_look_would_find((jobs, labels) in any_world(), drop in 0usize..5) {
        let mut fleet = world(&jobs, &labels);
        let mut kept = Occupancy::of(&fleet);
        for round in 0..6 {
            if round == 3 {
                let gone = fleet.machines.keys().nth(drop).cloned().unwrap();
                fleet.machines.remove(&gone);
                kept.heard_of_machine(&fleet, &gone);
            }
            let plan_now = plan_with(&fleet, &kept, &at_rest(), at(1));
            prop_assert_eq!(&plan_now, &plan(&fleet, &at_rest(), at(1)));
            carry_out(&mut fleet, &plan_now, at(1));
            for decision in &plan_now.decisions {
                let id = match &decision.step {
                    Step::Place(instance) => &instance.id,
                    Step::Remove(id) | Step::Retarget(id, _) => id,
                    _ => continue,
                };
                match fleet.instances.get(id) {
                    Some(seen) => kept.put(&seen.instance, |id| fleet.deployments.get(id)),
                    None => kept.remove(id),
                }
                kept.heard_of(&fleet, id);
            }
            prop_assert_eq!(&kept, &Occupancy::of(&fleet));
        }
    }
}

/// The part of [`check`] that holds also while versions are on their way.
fn overcommit(fleet: &Fleet) -> Result<(), TestCaseError> {
    let mut alone = fleet.clone();
    for deployment in alone.deployments.values_mut() {
        let placement = &mut deployment.job.placement;
        (deployment.job.linked_job, placement.spread) = (None, Spread::Prefer);
    }
    check(&alone)
}
