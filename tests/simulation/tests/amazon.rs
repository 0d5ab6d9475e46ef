//! A cluster at Amazon: each fault at each call, and a controller that is killed at each: it comes to the same end.

use cerebro_fake_aws::ApiError;
use cerebro_simulation::amazon::{Calls, Made, Strike, run};
use cerebro_simulation::faults::Fault;
use cerebro_simulation::run::{BEGINNING, Faults, JOBS, Options, Outcome};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// As in the program that runs many seeds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MINUTE: Duration = Duration::from_secs(60);
/// Longer than the SDK tries again.
const OUTAGE: usize = 12;
/// From which calls on there is an outage: hardly another one from the next call.
const OUTAGE_AT: usize = 4;

/// Machines from nothing, of which one dies and one hangs until it is rebooted, one job of each kind, and people who
/// deploy, and have machines drained and removed.
fn life(calls: Calls) -> (Outcome, Vec<Made>) {
    let dies = (BEGINNING, Fault::MachineDies);
    let hangs = (BEGINNING + 10 * MINUTE, Fault::MachineHangsUntilBooted);
    let faults = Faults::These(vec![dies, hangs]);
    let (span, machines, jobs, acts) = (BEGINNING + 70 * MINUTE, 4, 4, 6);
    let (seed, trace, replays) = (14, false, false);
    let options = Options { seed, span, machines, faults, jobs, acts, trace, replays };
    run(&options, calls).unwrap()
}

/// Lives all of these, as many at a time as there are processors, and says which of them did not come to a good end.
fn all_live<T: Sync>(cases: &[T], live: impl Fn(&T) -> (String, Outcome) + Sync) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                    let (name, outcome) = live(case);
                    if !outcome.violations.is_empty() {
                        wrong.lock().unwrap().push((name, outcome.violations));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} went wrong: {wrong:#?}", wrong.len(), cases.len());
}

/// What may happen to a call.
fn strikes(call: &Made) -> Vec<(&'static str, Strike)> {
    let mut strikes = vec![("reset", Strike::Reset), ("hang", Strike::Hang)];
    if !call.reads() {
        strikes.extend([("reply lost", Strike::ReplyLost), ("hang behind", Strike::HangBehind)]);
    }
    let answers = match call.service {
        "ec2" => vec![
            ("throttled", ApiError::ec2_throttled()),
            ("wrong key", ApiError::wrong_key()),
            ("clock", ApiError::new(400, "RequestExpired", "Request has expired.")),
        ],
        _ => vec![
            ("throttled", ApiError::route53_throttled()),
            ("wrong key", ApiError::new(403, "InvalidClientTokenId", "The token is invalid.")),
            ("clock", ApiError::new(403, "SignatureDoesNotMatch", "Signature expired: 2026")),
            ("busy", ApiError::new(400, "PriorRequestNotComplete", "It is not complete.")),
        ],
    };
    let shared = [("internal", ApiError::internal()), ("session", ApiError::expired_token())];
    let of_action = match call.action.as_str() {
        "RunInstances" => vec![("no room", ApiError::no_capacity()), ("quota", ApiError::quota())],
        "TerminateInstances" | "RebootInstances" | "CreateTags" => {
            let message = "The instance ID does not exist";
            vec![("not found", ApiError::new(400, "InvalidInstanceID.NotFound", message))]
        }
        "ChangeResourceRecordSets" => {
            let message = "Tried to delete resource record set, but it was not found";
            vec![("conflict", ApiError::new(400, "InvalidChangeBatch", message))]
        }
        _ => Vec::new(),
    };
    let answers = answers.into_iter().chain(shared).chain(of_action);
    strikes.extend(answers.map(|(name, error)| (name, Strike::Answer(error))));
    strikes
}

/// All calls of a life without faults, of all kinds that there are.
fn usual() -> Vec<Made> {
    let (outcome, made) = life(Calls::default());
    assert_eq!(outcome.violations, [] as [String; 0]);
    for action in [
        "RunInstances",
        "TerminateInstances",
        "RebootInstances",
        "CreateTags",
        "DescribeInstances",
        "DescribeImages",
        "DescribeInstanceTypes",
        "ChangeResourceRecordSets",
        "ListResourceRecordSets",
    ] {
        assert!(made.iter().any(|it| it.action == action), "no {action} in {made:?}");
    }
    made
}

/// The numbers of the calls that are struck: of those with the same action before and behind them the first, which stands
/// for the others. With CEREBRO_EACH_CALL=1, all.
fn struck(calls: &[Made]) -> Vec<usize> {
    let all = std::env::var_os("CEREBRO_EACH_CALL").is_some();
    let action = |number: usize| calls.get(number).map(|it| it.action.as_str());
    let mut known = BTreeSet::new();
    let mut is_new = |number: usize| {
        known.insert((number.checked_sub(1).and_then(action), action(number), action(number + 1)))
    };
    (0..calls.len()).filter(|number| is_new(*number) || all).collect()
}

#[test]
fn each_fault_at_each_call_comes_to_the_same_end() {
    let calls = usual();
    let mut cases = Vec::new();
    for (nth, number) in struck(&calls).into_iter().enumerate() {
        for (name, strike) in strikes(&calls[number]) {
            if nth % OUTAGE_AT == 0 {
                cases.push((number, OUTAGE, name, strike.clone()));
            }
            cases.push((number, 1, name, strike));
        }
    }
    println!("{} faults at {} calls", cases.len(), calls.len());
    all_live(&cases, |(number, times, name, strike)| {
        let broken = Calls::struck(*number..number + times, strike.clone());
        let action = &calls[*number].action;
        (format!("{name} {times} times at call {number}, {action}"), life(broken).0)
    });
}

#[test]
fn days_with_faults_of_all_sorts_end_well() {
    let seeds: Vec<u64> = (1..=8).collect();
    all_live(&seeds, |seed| {
        let (span, machines, jobs, acts) = (Duration::from_secs(24 * 3600), 20, JOBS, 20);
        let (faults, trace, replays) = (Faults::Drawn(25), false, false);
        let options = Options { seed: *seed, span, machines, faults, jobs, acts, trace, replays };
        (format!("seed {seed}"), run(&options, Calls::default()).unwrap().0)
    });
}

#[test]
fn killed_at_each_call_another_one_goes_on() {
    let calls = usual();
    let mut cases = Vec::new();
    for number in struck(&calls) {
        cases.push((number, Strike::DiesBefore));
        if !calls[number].reads() {
            cases.push((number, Strike::DiesBehind));
        }
    }
    println!("killed {} times at {} calls", cases.len(), calls.len());
    all_live(&cases, |(number, death)| {
        let broken = Calls::struck(*number..number + 1, death.clone());
        (format!("{death:?} at call {number}, {}", calls[*number].action), life(broken).0)
    });
}
