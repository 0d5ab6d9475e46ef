//! From a machine that is reached to one whose agent has joined, and what can come in between.

use crate::agents;
use crate::controller::Controller;
use crate::machine::{Like, Machine};
use cerebro_bootstrap::ssh::{
    Connection, Facts, Init, Installed, Order, Outcome, Report, SshError, Step, install,
};
use cerebro_bootstrap::{Architecture, Setup, Source};
use std::time::Duration;

/// What came of it, and step by step.
pub struct Came {
    pub of: Result<Installed, SshError>,
    pub steps: Vec<Step>,
}

pub async fn installed(
    machine: &Machine,
    controller: &Controller,
    user: &str,
    setup: &Setup,
    init: Init,
    joins_within: Duration,
) -> Came {
    let mut report = Report::new(|_| ());
    let connection = Connection::open(&machine.target(user), &mut report).await.unwrap();
    let facts = connection.look(&mut report).await.unwrap();
    let order = Order { setup: setup.clone(), init, joins_within, replaces: None };
    let id = setup.machine.to_string();
    let joined = controller.joined(&id);
    let of = install(&connection, &facts, &order, joined, &mut report).await;
    connection.close().await;
    Came { of, steps: report.steps().to_vec() }
}

pub const PATIENCE: Duration = Duration::from_secs(60);

async fn join(machine: &Machine, controller: &Controller, setup: &Setup) -> Came {
    installed(machine, controller, "root", setup, Init::None, PATIENCE).await
}

pub fn outcome(steps: &[Step], what: &str) -> Outcome {
    let found = steps.iter().find(|step| step.what.starts_with(what));
    found.unwrap_or_else(|| panic!("no step `{what}` in {steps:#?}")).outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_machine_is_joined_and_doing_it_again_changes_nothing() {
    let (machine, controller) = (Machine::start(Like::default()), Controller::start());
    let setup = agents::setup(&controller, 7, agents::served(&controller, &agents::good()));
    let came = join(&machine, &controller, &setup).await;
    let done = came.of.unwrap();
    assert!(done.changed);
    assert!(done.notes[0].contains("started again"), "{done:?}");
    assert_eq!(controller.token_of("m-7").as_deref(), Some("it's $(one) token"));
    for what in
        ["fetch machinesitter", "fetch tasksitter", "write /etc/cerebro/agent", "start the agent"]
    {
        assert_eq!(outcome(&came.steps, what), Outcome::Changed, "{what}");
    }
    assert!(
        came.steps.iter().all(|step| !format!("{step:?}").contains("$(one)")),
        "the token shows"
    );

    let fetched = controller.asked(&setup.programs[0].digest.to_string());
    let again = join(&machine, &controller, &setup).await;
    assert!(!again.of.unwrap().changed, "{:#?}", again.steps);
    for what in
        ["have machinesitter", "have tasksitter", "write /etc/cerebro/agent", "start the agent"]
    {
        assert_eq!(outcome(&again.steps, what), Outcome::Unchanged, "{what}");
    }
    assert_eq!(controller.asked("/join"), 1, "the agent was not started again");
    assert_eq!(controller.asked(&setup.programs[0].digest.to_string()), fetched);

    // Another cluster's machine it does not become.
    let other = agents::setup(&controller, 8, setup.programs.clone());
    let error = join(&machine, &controller, &other).await.of.unwrap_err();
    let SshError::Taken { there, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*there, setup.start());
}

#[tokio::test(flavor = "multi_thread")]
async fn by_sudo_and_without_the_machine_fetching_anything() {
    let (machine, controller) = (Machine::start(Like::default()), Controller::start());
    let mut programs = agents::served(&controller, &agents::good());
    for (program, bytes) in programs.iter_mut().zip([agents::good(), agents::task_sitter()]) {
        let file = machine.file(program.name.as_str());
        std::fs::write(&file, bytes).unwrap();
        program.source = Source::File(file);
    }
    let setup = agents::setup(&controller, 7, programs);
    let came = installed(&machine, &controller, "ops", &setup, Init::None, PATIENCE).await;
    assert!(came.of.unwrap().changed);
    assert_eq!(outcome(&came.steps, "send machinesitter"), Outcome::Changed);
    assert_eq!(controller.asked(&setup.programs[0].digest.to_string()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_agent_takes_the_place_of_the_one_that_runs() {
    let (machine, controller) = (Machine::start(Like::default()), Controller::start());
    let old = agents::setup(&controller, 7, agents::served(&controller, &agents::good()));
    join(&machine, &controller, &old).await.of.unwrap();
    let mut newer = agents::good();
    newer.push(0);
    let new = agents::setup(&controller, 7, agents::served(&controller, &newer));
    let came = join(&machine, &controller, &new).await;
    assert!(came.of.unwrap().changed);
    assert_eq!(outcome(&came.steps, "have tasksitter"), Outcome::Unchanged);
    assert_eq!(outcome(&came.steps, "give the agent a token"), Outcome::Unchanged);
    assert_eq!(outcome(&came.steps, "start the agent"), Outcome::Changed);
    let end = std::time::Instant::now() + PATIENCE;
    while controller.asked("/join") < 2 {
        assert!(std::time::Instant::now() < end, "the new agent does not run");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_is_told_before_and_in_the_midst() {
    let (machine, controller) =
        (Machine::start(Like { opt_mb: Some(40), ..Like::default() }), Controller::start());
    let setup = agents::setup(&controller, 7, agents::served(&controller, &agents::good()));
    let error = join(&machine, &controller, &setup).await.of.unwrap_err();
    let SshError::NoRoom { path, free_mb, .. } = &error else { panic!("{error:?}") };
    assert_eq!((path.as_str(), *free_mb), ("/opt/cerebro/bin", 40));

    let (machine, large) =
        (Machine::start(Like { opt_mb: Some(70), ..Like::default() }), vec![7; 80 << 20]);
    let mut programs = agents::served(&controller, &large);
    // Less than it is, so that nobody sees it coming.
    programs[0].size = 0;
    let setup = agents::setup(&controller, 7, programs.clone());
    let error = join(&machine, &controller, &setup).await.of.unwrap_err();
    assert!(matches!(error, SshError::NoRoom { .. }), "{error:?}");

    let (machine, file) = (
        Machine::start(Like { opt_mb: Some(70), ..Like::default() }),
        tempfile::NamedTempFile::new().unwrap(),
    );
    std::fs::write(file.path(), &large).unwrap();
    programs[0].source = Source::File(file.path().to_owned());
    let setup = agents::setup(&controller, 7, programs);
    let error = join(&machine, &controller, &setup).await.of.unwrap_err();
    assert!(matches!(error, SshError::NoRoom { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_cannot_be_is_told_before_anything_is_changed() {
    let (machine, controller) = (Machine::start(Like::default()), Controller::start());
    let programs = agents::served(&controller, &agents::good());
    let setup = agents::setup(&controller, 7, programs.clone());
    let came = installed(&machine, &controller, "root", &setup, Init::Systemd, PATIENCE).await;
    let error = came.of.unwrap_err();
    let SshError::NoSystemd { found, .. } = &error else { panic!("{error:?}") };
    assert_eq!(found, "sshd");
    assert!(error.to_string().contains("--init none"), "{error}");

    let mut others = programs;
    others[0].architecture = Some(match std::env::consts::ARCH {
        "x86_64" => Architecture::Aarch64,
        _ => Architecture::X86_64,
    });
    let error =
        join(&machine, &controller, &agents::setup(&controller, 7, others)).await.of.unwrap_err();
    assert!(matches!(error, SshError::WrongArchitecture { .. }), "{error:?}");

    let mut report = Report::new(|_| ());
    let connection = Connection::open(&machine.target("root"), &mut report).await.unwrap();
    let Facts { agent, programs, .. } = connection.look(&mut report).await.unwrap();
    assert!(agent.is_none() && programs.is_empty());
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_what_it_should_be_is_not_put_in_place() {
    let (machine, controller) = (Machine::start(Like::default()), Controller::start());
    let mut programs = agents::served(&controller, &agents::good());
    programs[1].digest = cerebro_model::Digest::of(b"something else");
    let error =
        join(&machine, &controller, &agents::setup(&controller, 7, programs.clone())).await.of;
    let error = error.unwrap_err();
    let SshError::Download { program, said, .. } = &error else { panic!("{error:?}") };
    assert_eq!(program.as_str(), "tasksitter");
    assert!(said.contains("not what it should be"), "{said}");

    programs[1].source = Source::Url(format!("{}/nothing", controller.base));
    let error = join(&machine, &controller, &agents::setup(&controller, 7, programs)).await.of;
    let error = error.unwrap_err();
    let SshError::Download { said, .. } = &error else { panic!("{error:?}") };
    assert!(said.contains("404"), "{said}");

    let mut report = Report::new(|_| ());
    let connection = Connection::open(&machine.target("root"), &mut report).await.unwrap();
    let found = connection.look(&mut report).await.unwrap().programs;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["machinesitter"]);
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_run_or_ends_or_never_joins_is_told_apart() {
    let (machine, controller) = (Machine::start(Like::default()), Controller::start());
    let with = |agent: &[u8]| agents::setup(&controller, 7, agents::served(&controller, agent));
    let error = join(&machine, &controller, &with(&agents::foreign())).await.of.unwrap_err();
    let SshError::CannotRun { said, .. } = &error else { panic!("{error:?}") };
    assert!(said.contains("GLIBC"), "{said}");

    let error = join(&machine, &controller, &with(&agents::dying())).await.of.unwrap_err();
    let SshError::AgentDied { log, .. } = &error else { panic!("{error:?}") };
    assert!(log.contains("no such device or address") && log.contains("code 7"), "{log}");

    let (setup, within) = (with(&agents::silent()), Duration::from_secs(3));
    let came = installed(&machine, &controller, "root", &setup, Init::None, within).await;
    let error = came.of.unwrap_err();
    let SshError::NeverJoined { log, .. } = &error else { panic!("{error:?}") };
    assert!(log.contains("waits for better times"), "{log}");

    // And with the right one, all is well after all.
    join(&machine, &controller, &with(&agents::good())).await.of.unwrap();
}
