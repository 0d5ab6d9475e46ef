//! What isolated machines keep apart: files, processes, names, limits, networks.

use crate::fixture::{Fixture, full_isolation, wait};
use cerebro_machines::{MachineProvider, Network};
use std::fs;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

#[tokio::test]
async fn what_a_machine_writes_does_not_reach_the_host() {
    let Some(isolation) = full_isolation() else { return };
    let fixture = Fixture::new(isolation);
    let name = format!("cerebro-test-{}", std::process::id());
    let script = format!(
        "for d in /etc /run /tmp /var /dev/shm; do echo x > $d/{name}; done; \
         ls /run/cerebro/bin > $data/bin; touch /run/cerebro/bin/{name}; hostname > $data/name; \
         head -c 1 /etc/resolv.conf > $data/resolver; cat /etc/{name} > $data/written"
    );
    fixture.create("m-1", &script).await;
    for directory in ["/etc", "/run", "/tmp", "/var", "/dev/shm"] {
        assert!(!Path::new(directory).join(&name).exists(), "{directory}");
    }
    assert_eq!(fixture.read("m-1", "data/written"), "x\n");
    assert_eq!(fixture.read("m-1", &format!("upper/etc/{name}")), "x\n");
    assert_eq!(fixture.read("m-1", "data/name"), "m-1\n");
    assert_eq!(fixture.read("m-1", "data/bin"), "localmachine\nmachinesitter\n");
    assert!(!fixture.bin().join(&name).exists());
    assert_eq!(fixture.argument("m-1", "--root").unwrap(), "/");
    assert_eq!(fixture.argument("m-1", "--bin").unwrap(), "/run/cerebro/bin");
    assert_eq!(fixture.argument("m-1", "--data").unwrap(), "/var/lib/cerebro");
    let resolver = fs::read("/etc/resolv.conf").is_ok_and(|text| !text.is_empty());
    assert_eq!(!fixture.read("m-1", "data/resolver").is_empty(), resolver);
}

#[tokio::test]
async fn machines_do_not_see_each_others_processes() {
    let Some(isolation) = full_isolation() else { return };
    let fixture = Fixture::new(isolation);
    fixture.create("m-1", "setsid sleep 611 &").await;
    let look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' > $data/seen; setsid sleep 612 &";
    fixture.create("m-2", look).await;
    let seen = fixture.read("m-2", "data/seen");
    assert!(seen.contains("machinesitter"), "{seen}");
    assert!(!seen.contains("611") && !seen.contains("m-1"), "{seen}");
    // Its own init is the first process that it sees.
    assert!(seen.contains("localmachine"), "{seen}");
}

#[tokio::test]
async fn a_machine_is_limited_to_its_capacity_and_can_have_groups_of_its_own() {
    let Some(isolation) = full_isolation().filter(|found| found.limits.is_there()) else { return };
    let fixture = Fixture::new(isolation);
    fixture.create("m-1", "cat /proc/self/cgroup > $data/groups").await;
    let cgroup = fixture.argument("m-1", "--cgroup").unwrap();
    assert!(cgroup.ends_with("/m-1"), "{cgroup}");
    assert!(fixture.read("m-1", "data/groups").contains(&format!("{cgroup}/system")));
    let limits: Vec<String> = [
        format!("/sys/fs/cgroup/memory/{cgroup}/memory.limit_in_bytes"),
        format!("/sys/fs/cgroup/{cgroup}/memory.max"),
    ]
    .iter()
    .filter_map(|file| fs::read_to_string(file).ok())
    .collect();
    assert_eq!(limits, [format!("{}\n", 512 << 20)]);
    // An agent makes groups for tasks beside its own; they go with the machine.
    let groups = cerebro_linux::cgroup::Cgroups::detect().unwrap();
    let task = groups.create(&format!("{cgroup}/task")).unwrap();
    task.set_memory(Some(1 << 20), 0).unwrap();
    fixture.note_cgroup("m-1");
    fixture.provider().destroy(&"m-1".parse().unwrap(), None).await.unwrap();
    assert_eq!(fixture.traces(), [""; 0]);
}

#[tokio::test]
async fn a_network_of_its_own_can_be_cut_and_mended() {
    let Some(isolation) = full_isolation().filter(|found| found.network.is_there()) else { return };
    let fixture = Fixture::of(isolation, Network::Own);
    let host = fixture.provider().controller_host();
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let call = format!("timeout 0.2 bash -c ': > /dev/tcp/{host}/{port}'");
    let id = fixture.create("m-1", &format!("(while :; do {call}; sleep 0.02; done) &")).await;
    let address: IpAddr = fixture.argument("m-1", "--address").unwrap().parse().unwrap();
    let calls = || {
        let mut callers = Vec::new();
        while let Ok((_, caller)) = listener.accept() {
            callers.push(caller.ip());
        }
        callers
    };
    wait("a call", || calls().contains(&address));

    fixture.provider().cut(&id).await.unwrap();
    calls();
    // Long enough for a dozen calls of a machine that is connected.
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        assert_eq!(calls(), [] as [IpAddr; 0]);
    }
    fixture.provider().mend(&id).await.unwrap();
    wait("a call after the cut", || calls().contains(&address));

    let record: serde_json::Value =
        serde_json::from_str(&fixture.read("m-1", "machine.json")).unwrap();
    let interface =
        |name: &str| Path::new("/sys/class/net").join(record["network"][name].as_str().unwrap());
    let (cable, bridge) = (interface("interface"), interface("bridge"));
    assert!(cable.exists() && bridge.exists());
    fixture.provider().destroy(&id, None).await.unwrap();
    assert!(!cable.exists() && bridge.exists());
    fixture.provider().destroy_all().await.unwrap();
    assert!(!bridge.exists());
}
