//! A release that failed on a machine fails again without it.

use crate::release::options;
use cerebro_conformance::{Language, Machine, component, edited, languages, new_component, replay};
use cerebro_recipe_engine::{Departure, Recording};
use std::fs;

/// A release that fails at its last step but one, and what it said; its machine is gone.
async fn record(language: Language) -> (Recording, Vec<String>) {
    let (recipe, ..) = component(language, "release").await;
    let machine = Machine::new();
    fs::create_dir_all(machine.root().join("opt/portal/current/in-its-way")).unwrap();
    let options = options(&machine, "1.0");
    let made = machine.deploy_journaled(&recipe, "1.0", None, &options, None).await;
    let recording = made.recording();
    assert!(recording.failure().unwrap().starts_with("activate 1.0: "), "{language}");
    (recording, made.seen.log)
}

/// What was asked for, in words.
fn asked(recording: &Recording) -> Vec<String> {
    recording.questions().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_failed_release_fails_again_without_its_machine() {
    for language in languages() {
        let (recording, log) = record(language).await;
        let (recipe, ..) = component(language, "release").await;
        // Call for call, twice: nothing is left to chance or to the time of day.
        for _ in 0..2 {
            let (replayed, said) = replay(&recipe, &recording, true).await;
            assert_eq!(replayed.departure, None, "{language}");
            assert!(replayed.same_end, "{language}: {replayed:?}");
            assert_eq!(replayed.failure.as_deref(), recording.failure(), "{language}");
            let answered: Vec<String> = replayed.answered.iter().map(ToString::to_string).collect();
            assert_eq!(answered, asked(&recording), "{language}");
            assert_eq!(said, log, "{language}");
        }
    }
}

#[tokio::test]
async fn what_one_language_recorded_every_language_replays() {
    let mut recordings = Vec::new();
    for language in languages() {
        recordings.push((language, record(language).await.0));
    }
    for (recorded, recording) in &recordings {
        for language in languages() {
            let (recipe, ..) = component(language, "release").await;
            // Another component may ask in another order.
            let (replayed, _) = replay(&recipe, recording, false).await;
            let both = format!("{recorded}, replayed by {language}");
            assert_eq!(replayed.departure, None, "{both}");
            assert!(replayed.same_end, "{both}: {replayed:?}");
            assert_eq!(replayed.answered.len(), recording.questions().len(), "{both}");
        }
    }
}

#[tokio::test]
async fn an_edited_release_departs_where_it_was_edited() {
    for language in languages() {
        let (recording, _) = record(language).await;
        let questions = asked(&recording);
        let at = questions.iter().position(|q| q.starts_with("command.run")).unwrap();
        let other = edited(language, "release", "/usr/bin/touch", "/usr/bin/tough").await;
        for is_strict in [true, false] {
            let (replayed, _) = replay(&other, &recording, is_strict).await;
            let then = Some(questions[at].clone());
            let now = questions[at].replace("touch", "tough");
            let n = u32::try_from(at + 1).unwrap();
            assert_eq!(replayed.departure, Some(Departure::Asks { n, now, then }), "{language}");
            assert_eq!(replayed.answered.len(), at, "{language}");
            assert!(!replayed.same_end, "{language}");
        }
    }
}

#[tokio::test]
async fn another_recipe_departs_at_the_first_that_was_not_asked() {
    for language in languages() {
        let (recording, _) = record(language).await;
        let other = new_component(language, "my-recipe").await;
        let (replayed, _) = replay(&other, &recording, false).await;
        let Some(Departure::Asks { n, now, .. }) = &replayed.departure else {
            panic!("{language}: {replayed:?}")
        };
        assert_eq!((*n, now.as_str()), (2, "files.directory /opt/my-recipe"), "{language}");
        // It may ask where it is before.
        let answered: Vec<String> = replayed.answered.iter().map(ToString::to_string).collect();
        assert_eq!(answered, ["context.get"], "{language}");
        assert!(!replayed.same_end, "{language}");
    }
}
