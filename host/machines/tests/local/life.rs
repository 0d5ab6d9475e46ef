//! A machine's life, with isolation and without.

use crate::fixture::{Fixture, isolations, wait};
use cerebro_linux::process::Identity;
use cerebro_machines::{MachineProvider, Network, Presence, ProviderError, purge};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

/// Processes that try to get away from their parents.
const RUNAWAYS: &str = "setsid sh -c 'setsid sleep 601 & sleep 602 & ' & sleep 603 &";

#[tokio::test]
async fn created_twice_it_is_one_machine() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        let machine = fixture.machine("m-1", "true");
        let begin = Instant::now();
        let (one, other) =
            tokio::join!(fixture.provider().create(&machine), fixture.provider().create(&machine));
        println!("created in {:?}", begin.elapsed());
        one.unwrap();
        other.unwrap();
        fixture.provider().create(&machine).await.unwrap();
        wait("the agent", || fixture.file("m-1", "data/done").exists());
        assert_eq!(fixture.read("m-1", "data/starts").lines().count(), 1);
        assert_eq!(fixture.provider().list().await.unwrap(), std::slice::from_ref(&machine.id));
        assert_eq!(fixture.provider().describe(&machine.id).await.unwrap(), Presence::Running);
        for (flag, value) in [
            ("--machine", "m-1"),
            ("--zone", "aws-us-west-2a"),
            ("--controller", "http://127.0.0.1:30000"),
            ("--port", "40000"),
            ("--cpu", "1.5"),
            ("--mem", "512"),
        ] {
            assert_eq!(fixture.argument("m-1", flag).as_deref(), Some(value), "{flag}");
        }
        let token = fixture.argument("m-1", "--token-file").unwrap();
        assert!(token.ends_with("/token"), "{token}");
        assert_eq!(fixture.read("m-1", "data/token"), "let-me-in");
        let mode = fixture.file("m-1", "data/token").metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn each_machine_has_an_address_of_its_own() {
    let fixture = Fixture::new(isolations().remove(0));
    fixture.create("m-1", "true").await;
    fixture.create("m-2", "true").await;
    let address = |id| fixture.argument(id, "--address").unwrap();
    assert!(address("m-1").starts_with("127.77."));
    assert_ne!(address("m-1"), address("m-2"));
}

#[tokio::test]
async fn an_agent_that_dies_is_started_again() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        fixture.create("m-1", "true").await;
        let agents = || {
            let all = fixture.processes("m-1").into_iter();
            all.filter(|(_, command)| command.contains("machinesitter")).collect::<Vec<_>>()
        };
        for deaths in 1..=3 {
            let (agent, _) = agents()[0];
            kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
            let starts = || fixture.read("m-1", "data/starts").lines().count();
            wait("the agent", || starts() == deaths + 1 && agents().len() == 1);
        }
    }
}

#[tokio::test]
async fn an_agent_that_hangs_is_started_again_by_its_provider_and_nothing_else_ends() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        let id = fixture.create("m-1", "setsid sleep 604 &").await;
        let other = fixture.create("m-2", "true").await;
        let of = |machine: &str, word: &str| {
            let all = fixture.processes(machine).into_iter();
            let found = all.filter(|(_, command)| command.contains(word));
            found.map(|(pid, _)| pid).collect::<Vec<_>>()
        };
        let is_done = |machine: &str| fixture.file(machine, "data/done").exists();
        wait("both run", || is_done("m-1") && is_done("m-2"));
        wait("what it ran", || of("m-1", "sleep 604").len() == 1);
        let (hangs, task) = (of("m-1", "machinesitter"), of("m-1", "sleep 604"));
        let untouched = of("m-2", "machinesitter");
        kill(Pid::from_raw(hangs[0]), Signal::SIGSTOP).unwrap();
        fixture.provider().restart_agent(&id).await.unwrap();
        let starts = || fixture.read("m-1", "data/starts").lines().count();
        wait("another agent", || starts() == 2 && !of("m-1", "machinesitter").contains(&hangs[0]));
        assert!(of("m-1", "sleep 604").contains(&task[0]), "what it ran goes on");
        // What it started for a moment may have had its name.
        assert!(of("m-2", "machinesitter").contains(&untouched[0]));
        fixture.provider().kill(&other).await.unwrap();
        let error = fixture.provider().restart_agent(&other).await.unwrap_err().to_string();
        assert!(error.contains("`m-2`") && error.contains("its init has ended"), "{error}");
    }
}

#[tokio::test]
async fn a_machine_that_hangs_with_its_init_is_rebooted_as_the_same_one() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        let id = fixture.create("m-1", RUNAWAYS).await;
        let other = fixture.create("m-2", "true").await;
        let of = |word: &str| {
            let all = fixture.processes("m-1").into_iter();
            let found = all.filter(|(_, command)| command.contains(word));
            found.map(|(pid, _)| pid).collect::<Vec<_>>()
        };
        let starts = || fixture.read("m-1", "data/starts").lines().count();
        let address = fixture.argument("m-1", "--address");
        wait("the runaways", || of("sleep 601").len() == 1 && of("sleep 603").len() == 1);
        let (init, before) = (fixture.init("m-1"), fixture.processes("m-1"));
        for pid in of("machinesitter").into_iter().chain([init]) {
            kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        }
        // Its agent ends, and nobody is there to start another.
        fixture.provider().restart_agent(&id).await.unwrap();
        wait("the end of the agent", || of("machinesitter").is_empty());
        assert_eq!(fixture.provider().describe(&id).await.unwrap(), Presence::Running);
        assert_eq!(starts(), 1);

        fixture.provider().reboot(&id).await.unwrap();
        wait("another agent", || starts() == 2);
        assert_ne!(fixture.init("m-1"), init);
        assert_eq!(fixture.argument("m-1", "--address"), address);
        assert_eq!(fixture.read("m-1", "data/token"), "let-me-in");
        let left = fixture.processes("m-1").into_keys().filter(|pid| before.contains_key(pid));
        assert_eq!(left.collect::<Vec<_>>(), [0; 0], "all that ran before has ended");
        assert_eq!(fixture.provider().describe(&id).await.unwrap(), Presence::Running);

        // A host that goes down in between finds a machine that is still to be started.
        let machine = |file: &str| fixture.file("m-1", file);
        fs::copy(machine("init.json"), machine("reboot.json")).unwrap();
        fixture.provider().kill(&id).await.unwrap();
        assert_eq!(fixture.provider().describe(&id).await.unwrap(), Presence::Running);
        fs::remove_file(machine("init.json")).unwrap();
        assert_eq!(fixture.provider().describe(&id).await.unwrap(), Presence::Running);
        fixture.provider().reboot(&id).await.unwrap();
        wait("a third agent", || starts() == 3);

        // One that dies by itself afterwards is dead.
        assert!(!machine("reboot.json").exists());
        fixture.provider().kill(&id).await.unwrap();
        let gone = fixture.provider().describe(&id).await.unwrap();
        assert!(matches!(gone, Presence::Gone { .. }), "{gone:?}");
        assert_eq!(fixture.read("m-2", "data/starts").lines().count(), 1);
        fixture.provider().destroy(&other, None).await.unwrap();
        fixture.provider().destroy(&id, None).await.unwrap();
        let error = fixture.provider().reboot(&id).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unknown { .. }), "{error}");
    }
}

#[tokio::test]
async fn killed_it_is_dead_as_a_whole_and_stays_so() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        let id = fixture.create("m-1", RUNAWAYS).await;
        let other = fixture.create("m-2", "true").await;
        wait("the runaways", || {
            let commands = fixture.processes("m-1").into_values().collect::<String>();
            ["601", "602", "603"].iter().all(|sleep| commands.contains(sleep))
        });
        fixture.provider().kill(&id).await.unwrap();
        assert!(fixture.processes("m-1").is_empty(), "{:?}", fixture.processes("m-1"));
        let gone = fixture.provider().describe(&id).await.unwrap();
        assert!(matches!(gone, Presence::Gone { .. }), "{gone:?}");
        assert!(fixture.provider().list().await.unwrap().contains(&id));

        // The id is the token of one creation: a machine that died does not come back by it.
        fixture.provider().create(&fixture.machine("m-1", "true")).await.unwrap();
        assert_eq!(fixture.provider().describe(&id).await.unwrap(), gone);
        assert_eq!(fixture.provider().describe(&other).await.unwrap(), Presence::Running);
        assert!(!fixture.processes("m-2").is_empty());
    }
}

#[tokio::test]
async fn what_ran_away_from_a_dead_init_is_found() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        let id = fixture.create("m-1", RUNAWAYS).await;
        let init = fixture.init("m-1");
        kill(Pid::from_raw(init), Signal::SIGKILL).unwrap();
        fixture.provider().destroy(&id, None).await.unwrap();
        assert_eq!(fixture.traces(), [""; 0]);
    }
}

#[tokio::test]
async fn asked_to_end_it_ends_its_processes() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        let id = fixture.create("m-1", RUNAWAYS).await;
        let init = fixture.init("m-1");
        kill(Pid::from_raw(init), Signal::SIGTERM).unwrap();
        wait("its end", || fixture.processes("m-1").is_empty());
        wait("its init's end", || Identity::of(init).is_none());
        let gone = fixture.provider().describe(&id).await.unwrap();
        assert!(matches!(gone, Presence::Gone { .. }), "{gone:?}");
    }
}

#[tokio::test]
async fn destroyed_it_leaves_nothing() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        let lock = r#"mkdir -p "$root/tmp/locked/in" && chmod 500 "$root/tmp/locked";"#;
        let id = fixture.create("m-1", &format!("{lock}{RUNAWAYS}")).await;
        fixture.note_cgroup("m-1");
        assert!(!fixture.traces().is_empty());
        fixture.provider().destroy(&id, None).await.unwrap();
        assert_eq!(fixture.traces(), [""; 0]);
        assert!(!fixture.file("m-1", "").exists());
        assert!(fixture.provider().list().await.unwrap().is_empty());
        let gone = fixture.provider().describe(&id).await.unwrap();
        assert!(matches!(gone, Presence::Gone { .. }), "{gone:?}");
        fixture.provider().destroy(&id, None).await.unwrap();
    }
}

#[tokio::test]
async fn what_whoever_was_killed_over_its_end_left_of_it_goes_too() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        let id = fixture.create("m-1", "true").await;
        fixture.provider().kill(&id).await.unwrap();
        std::fs::remove_file(fixture.file("m-1", "init.json")).unwrap();
        fixture.provider().destroy(&id, None).await.unwrap();
        assert!(!fixture.file("m-1", "").exists());
        std::fs::create_dir(fixture.file("m-1", "")).unwrap();
        fixture.provider().destroy(&id, None).await.unwrap();
        assert!(!fixture.file("m-1", "").exists());
    }
}

#[tokio::test]
async fn purged_without_a_provider_only_logs_and_data_stay() {
    for isolation in isolations() {
        let mut fixture = Fixture::new(isolation);
        fixture.create("m-1", RUNAWAYS).await;
        fixture.create("m-2", "true").await;
        fixture.note_cgroup("m-1");
        fixture.provider = None;
        purge(&fixture.data).unwrap();
        assert_eq!(fixture.traces(), [""; 0]);
        assert!(fixture.file("m-1", "init.log").exists());
        assert!(fixture.file("m-2", "data/arguments").exists());
        purge(&fixture.data).unwrap();

        // The same id again is a new machine, without what the old one left.
        fs::remove_file(fixture.file("m-1", "data/arguments")).unwrap();
        fs::write(fixture.file("m-1", "data/old"), "").unwrap();
        fixture.open(Network::Host);
        assert!(fixture.provider().list().await.unwrap().is_empty());
        fixture.create("m-1", "true").await;
        assert!(!fixture.file("m-1", "data/old").exists());
    }
}

#[tokio::test]
async fn a_controller_that_starts_again_knows_its_machines() {
    let mut fixture = Fixture::new(isolations().remove(0));
    let id = fixture.create("m-1", "true").await;
    let before = fixture.init("m-1");
    fixture.provider = None;
    fixture.open(Network::Host);
    assert_eq!(fixture.provider().describe(&id).await.unwrap(), Presence::Running);
    fixture.provider().create(&fixture.machine("m-1", "true")).await.unwrap();
    assert_eq!(fixture.init("m-1"), before);
    assert_eq!(fixture.read("m-1", "data/starts").lines().count(), 1);
}

#[tokio::test]
async fn a_creation_that_failed_says_why_and_can_be_asked_for_again() {
    for isolation in isolations() {
        let fixture = Fixture::new(isolation);
        fs::remove_file(fixture.bin().join("machinesitter")).unwrap();
        let machine = fixture.machine("m-1", "true");
        let error = fixture.provider().create(&machine).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ProviderError::NotStarted { .. }), "{text}");
        assert!(text.contains("machinesitter") && text.contains("init.log"), "{text}");
        let gone = fixture.provider().describe(&machine.id).await.unwrap();
        assert!(matches!(gone, Presence::Gone { .. }), "{gone:?}");

        fixture.install_agent();
        fixture.provider().create(&machine).await.unwrap();
        assert_eq!(fixture.provider().describe(&machine.id).await.unwrap(), Presence::Running);
    }
}

#[tokio::test]
async fn what_is_not_ours_is_not_touched() {
    let fixture = Fixture::new(isolations().remove(0));
    let id = fixture.create("m-1", "true").await;
    let unknown = "m-9".parse().unwrap();
    let error = fixture.provider().kill(&unknown).await.unwrap_err().to_string();
    assert!(error.contains("`m-9`") && error.contains("m-1"), "{error}");

    // A record that was copied to another name must not end the machine that it describes.
    fs::create_dir(fixture.file("m-9", "")).unwrap();
    fs::copy(fixture.file("m-1", "machine.json"), fixture.file("m-9", "machine.json")).unwrap();
    let error = fixture.provider().destroy(&unknown, None).await.unwrap_err();
    assert!(matches!(error, ProviderError::Foreign { .. }), "{error}");
    fs::remove_dir_all(fixture.file("m-9", "")).unwrap();
    assert_eq!(fixture.provider().describe(&id).await.unwrap(), Presence::Running);

    // Where the disk is away, nobody says that a machine is gone.
    fs::rename(fixture.data.join("machines"), fixture.data.join("away")).unwrap();
    let answer = fixture.provider().describe(&id).await;
    fs::rename(fixture.data.join("away"), fixture.data.join("machines")).unwrap();
    assert!(matches!(answer, Err(ProviderError::File { .. })), "{answer:?}");
}
