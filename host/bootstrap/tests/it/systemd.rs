//! A machine that Debian's systemd runs: joined over SSH, and by itself as cloud-init has it.

use crate::agents;
use crate::controller::Controller;
use crate::installs::{PATIENCE, installed, outcome};
use crate::machine::{Like, Machine};
use crate::need;
use cerebro_bootstrap::cloud_init::user_data;
use cerebro_bootstrap::ssh::{Init, Outcome, SshError};
use std::time::{Duration, Instant};

fn machine() -> Machine {
    Machine::start(Like { systemd: true, ..Like::default() })
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_systemd_keeps_the_agent_running_and_doing_it_again_changes_nothing() {
    let (machine, controller) = (machine(), Controller::start());
    let setup = agents::setup(&controller, 7, agents::served(&controller, &agents::good()));
    let came = installed(&machine, &controller, "root", &setup, Init::Systemd, PATIENCE).await;
    let done = came.of.unwrap();
    assert!(done.changed && done.notes.is_empty(), "{done:?}");
    assert_eq!(machine.run("systemctl is-enabled cerebro-agent").trim(), "enabled");
    assert!(!machine.run("systemctl show cerebro-agent -p Delegate").contains("no"));

    let again = installed(&machine, &controller, "root", &setup, Init::Systemd, PATIENCE).await;
    assert!(!again.of.unwrap().changed, "{:#?}", again.steps);
    assert_eq!(outcome(&again.steps, "start the agent"), Outcome::Unchanged);
    assert_eq!(controller.asked("/join"), 1);

    // What runs in its unit outlives it, as tasks do.
    machine.run(
        "setsid sleep 4321 >/dev/null 2>&1 </dev/null & \
         echo $! >$(find /sys/fs/cgroup -path '*cerebro-agent.service/cgroup.procs')",
    );
    machine.run("kill -KILL $(systemctl show cerebro-agent -p MainPID --value)");
    until("the agent is not started again", || controller.asked("/join") == 2).await;
    machine.run("systemctl restart cerebro-agent");
    until("the agent is not started again", || controller.asked("/join") == 3).await;
    machine.run("pgrep -x -f 'sleep 4321'");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ends_at_once_is_told_with_what_its_journal_has() {
    let (machine, controller) = (machine(), Controller::start());
    let setup = agents::setup(&controller, 7, agents::served(&controller, &agents::dying()));
    let came = installed(&machine, &controller, "root", &setup, Init::Systemd, PATIENCE).await;
    let error = came.of.unwrap_err();
    let SshError::AgentDied { log, .. } = &error else { panic!("{error:?}") };
    assert!(log.contains("no such device or address"), "{log}");
}

/// Only what the user data asks for; the rest of cloud-init would make the machine another one.
const CLOUD: &str = "\
datasource_list: [NoCloud]
network: {config: disabled}
cloud_init_modules: [write-files]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
";

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_sets_itself_up_by_its_user_data() {
    need("/usr/bin/cloud-init", "cloud-init");
    let (machine, controller) = (machine(), Controller::start());
    let setup = agents::setup(&controller, 7, agents::served(&controller, &agents::good()));
    machine.put("/var/lib/cloud/seed/nocloud/user-data", &user_data(&setup).unwrap());
    machine.put("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: i-1\n");
    machine.put("/etc/cloud/cloud.cfg.d/99-test.cfg", CLOUD);
    for stage in ["init --local", "init", "modules --mode=config", "modules --mode=final"] {
        machine.run(&format!("cloud-init {stage} 2>&1"));
    }
    until("it does not join", || controller.token_of("m-7").is_some()).await;
    assert_eq!(controller.token_of("m-7").as_deref(), Some("it's $(one) token"));
    assert_eq!(machine.run("systemctl is-enabled cerebro-agent").trim(), "enabled");
    assert_eq!(machine.run("stat -c %a /etc/cerebro/join-token").trim(), "600");
}
