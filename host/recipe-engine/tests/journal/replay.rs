//! A call that failed on a machine is run again without it, to the same end.

use crate::scenario::Scenario;
use crate::support::{component, engine, guest};
use cerebro_model::Digest;
use cerebro_recipe_engine::{Component, Departure, LogLine, Recording, Replay};
use serde_json::{Value, json};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Records a call with these steps, and forgets its machine.
async fn record(steps: &[Value], seconds: f64) -> (Recording, Vec<String>) {
    let mut scenario = Scenario::new();
    scenario.machine.limits.memory = 16 << 20;
    scenario.machine.limits.wall = Duration::from_secs_f64(seconds);
    fs::create_dir_all(scenario.machine.path("/srv")).unwrap();
    fs::write(scenario.machine.path("/srv/known"), "known\n").unwrap();
    let secret = scenario.machine.dir.path().join("store/secret-db");
    fs::write(secret, "correct horse").unwrap();
    let options = json!({ "steps": steps }).to_string();
    let _ = engine().deploy(&scenario.component().await, scenario.call(&options)).await;
    let recording = Recording::open(&scenario.directory()).unwrap().unwrap();
    let bytes = fs::read(scenario.directory().join("recording")).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"correct"), "it holds the secret");
    (recording, said(&scenario.machine.log))
}

fn said(log: &Mutex<Vec<LogLine>>) -> Vec<String> {
    log.lock().unwrap().iter().map(|line| line.message.clone()).collect()
}

async fn replay(
    component: &Component,
    recording: &Recording,
    is_strict: bool,
    until: Option<u32>,
) -> (Replay, Vec<String>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = log.clone();
    let sink = Arc::new(move |line: LogLine| sink.lock().unwrap().push(line));
    let replay = engine().replay(component, recording.clone(), is_strict, until, sink).await;
    (replay.unwrap(), said(&log))
}

/// Ways to fail, and how long the call may take.
fn failures() -> Vec<(Value, f64)> {
    vec![
        (json!({"fail": "no more"}), 60.0),
        (json!({"panic": "no more"}), 60.0),
        (json!("spin"), 1.0),
        (json!("hog"), 60.0),
        (json!({"read": "/srv/none"}), 60.0),
        (json!({"write": ["relative", "", null]}), 60.0),
        (json!({"run": ["/bin/false"]}), 60.0),
        (json!({"run": ["/bin/sh", "-c", "echo so it is >&2; exit 3"]}), 60.0),
        (json!({"unpack": ["aa", "/srv/x"]}), 60.0),
        (json!({"activate": ["/srv/app", "9"]}), 60.0),
    ]
}

/// What comes before.
fn beginnings() -> Vec<Vec<Value>> {
    let ask = json!({"ask": ["/bin/sh", "-c", "echo out $$; date +out%N"]});
    vec![
        vec![],
        vec![json!({"write": ["/srv/a", "a", null]})],
        vec![json!("random"), json!("clock"), json!("random")],
        vec![json!({"read": "/srv/known"}), json!({"list": "/srv"})],
        vec![ask.clone(), ask],
        vec![json!({"secret": ["db", "/srv/conf"]}), json!({"read": "/srv/conf"})],
        vec![json!({"remember": ["a", "b"]}), json!({"forget": "a"})],
        vec![json!({"at-end": ["/bin/sh", "-c", "exit 0"]})],
        vec![json!({"stage": ["/srv/app", "1", null]}), json!({"activate": ["/srv/app", "1"]})],
        vec![json!({"tree": ["/srv/t", [["a", "1"], ["b/c", "2"]], true]}), json!("clock")],
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_failures_fail_again_in_the_same_way() {
    let script = component("script").await;
    let mut tried = 0;
    for beginning in beginnings() {
        for (failure, seconds) in failures() {
            let steps: Vec<Value> = beginning.iter().cloned().chain([failure.clone()]).collect();
            let (recording, log) = record(&steps, seconds).await;
            assert!(recording.is_whole() && recording.failure().is_some(), "{steps:?}");
            let (replay, again) = replay(&script, &recording, true, None).await;
            assert_eq!(replay.departure, None, "{steps:?}");
            assert!(replay.same_end, "{steps:?}: {:?} {replay:?}", recording.failure());
            let asked = recording.questions();
            assert_eq!(replay.answered.iter().collect::<Vec<_>>(), asked, "{steps:?}");
            // What programs wrote to the log themselves is not said again.
            let own = |line: &&String| !line.ends_with("so it is") && !line.starts_with("out");
            let veiled = |line: &String| line.replace("<secret>", "<db>*********");
            let own_words = log.iter().filter(own).map(veiled).collect::<Vec<_>>();
            let own_again = again.iter().filter(own).map(veiled).collect::<Vec<_>>();
            assert_eq!(own_again, own_words, "{steps:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_can_stop_on_its_way() {
    let steps = [json!({"read": "/srv/known"}), json!({"list": "/srv"}), json!({"fail": "no"})];
    let (recording, _) = record(&steps, 60.0).await;
    let all = u32::try_from(recording.questions().len()).unwrap();
    let script = component("script").await;
    for until in 0..all {
        let (replay, _) = replay(&script, &recording, true, Some(until)).await;
        assert_eq!(replay.departure, Some(Departure::Until(until)));
        assert_eq!(replay.answered.len(), until as usize);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_where_each_call_came_is_found_afterwards() {
    let read = json!({"read": "/srv/known"});
    let steps =
        [read.clone(), json!({"write": ["/srv/a", "a", null]}), read, json!({"fail": "no"})];
    let (recording, _) = record(&steps, 60.0).await;
    let asked = recording.questions();
    let all = u32::try_from(asked.len()).unwrap();
    let script = component("script").await;
    let sites = engine().call_sites(&script, &recording, 0..=all + 1).await;
    // Of none that was not made.
    assert_eq!(sites.keys().copied().collect::<Vec<_>>(), (1..=all).collect::<Vec<_>>());
    let of = |function: &str| {
        let calls = asked.iter().filter(|question| question.function == function);
        calls.map(|question| sites[&question.n].clone()).collect::<Vec<_>>()
    };
    let (reads, writes) = (of("files.read"), of("files.write"));
    assert_eq!((reads.len(), writes.len()), (2, 1));
    assert!(reads[0] == reads[1] && reads[0] != writes[0], "{sites:?}");
    for site in sites.values() {
        assert!(!site.is_empty() && site.iter().all(|place| place.contains("+0x")), "{site:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_component_departs_where_it_asks_for_something_else() {
    let steps = [json!({"read": "/srv/known"}), json!({"fail": "no"})];
    let (recording, _) = record(&steps, 60.0).await;
    // The same program, with another digest.
    let mut bytes = guest("script");
    bytes.extend([0, 3, 1, b'x', b'y']);
    let same = engine().compile(Digest::of(&bytes), bytes).await.unwrap();
    for is_strict in [true, false] {
        let (replay, _) = replay(&same, &recording, is_strict, None).await;
        assert!(replay.same_end && replay.departure.is_none(), "{replay:?}");
    }
    // Another program, which remembers the same, and then asks for what it was not asked for.
    let both = json!({
        "steps": [{"remember": ["a", "x"]}, {"fail": "no"}],
        "do": "remember", "values": {"a": "x"},
    })
    .to_string();
    let scenario = Scenario::new();
    let _ = engine().deploy(&scenario.component().await, scenario.call(&both)).await;
    let recording = Recording::open(&scenario.directory()).unwrap().unwrap();
    let asked = recording.questions().len();
    for is_strict in [true, false] {
        let (replay, _) = replay(&component("walk").await, &recording, is_strict, None).await;
        let n = u32::try_from(asked + 1).unwrap();
        let departure = Departure::Asks { n, now: "kv.keys ".to_owned(), then: None };
        assert_eq!(replay.departure, Some(departure));
        assert_eq!(replay.answered.len(), asked, "up to there it was answered");
        assert!(!replay.same_end);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_breaks_off_says_so() {
    let steps = [json!({"read": "/srv/known"}), json!({"fail": "no"})];
    let scenario = Scenario::new();
    let options = json!({ "steps": steps }).to_string();
    let _ = engine().deploy(&scenario.component().await, scenario.call(&options)).await;
    let bytes = fs::read(scenario.directory().join("recording")).unwrap();
    assert!(Recording::parse(&[]).is_err() && Recording::parse(b"hello").is_err());
    for cut in 0..bytes.len() {
        // It is read up to there, or refused: it never breaks down.
        let Ok(recording) = Recording::parse(&bytes[..cut]) else { continue };
        assert!(!recording.is_whole());
        let (replay, _) = replay(&scenario.component().await, &recording, true, None).await;
        assert!(!replay.same_end && replay.departure.is_some(), "{cut}: {replay:?}");
    }
}
