//! Our recipes for what the system brings: packages and servers.

use crate::support::{Machine, component, engine};
use cerebro_recipe_engine::CheckStatus;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

#[tokio::test]
async fn configuration_is_merged_and_checked_before_it_counts() {
    let machine = Machine::granting(r#"{"write": ["/etc/app"], "commands": ["/bin/sh -c **"]}"#);
    fs::create_dir_all(machine.path("/etc/app")).unwrap();
    fs::write(machine.path("/etc/app/app.toml"), "# mine\n[server]\nport = 1 # here\n").unwrap();
    let (conf, checked) = (machine.path("/etc/app/app.toml"), machine.path("/etc/app/checked"));
    let (conf, checked) = (conf.display(), checked.display());
    let check = format!("echo x >> '{checked}'; ! grep bad '{conf}' >&2");
    let recipe = component("package").await;
    let options = |name: &str| {
        serde_json::json!({
            "packages": {},
            "files": {
                "/etc/app/app.toml": {"merge": {"server": {"name": name, "job": "{{ job }}"}}},
                "/etc/app/conf": {"block": "listen {{ port }}"},
            },
            "check": ["/bin/sh", "-c", check],
        })
        .to_string()
    };
    for _ in 0..2 {
        engine().deploy(&recipe, machine.call(&options("good"))).await.unwrap();
    }
    let toml = "# mine\n[server]\nport = 1 # here\njob = \"portal.startup.com\"\nname = \"good\"\n";
    assert_eq!(machine.text("/etc/app/app.toml"), toml);
    assert!(machine.text("/etc/app/conf").contains("\nlisten 8080\n"));
    assert_eq!(machine.text("/etc/app/checked"), "x\n", "the second time, nothing had changed");

    let error = engine().deploy(&recipe, machine.call(&options("bad"))).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`/bin/sh` ended with code 1: name = \"bad\""), "{error}");
    engine().deploy(&recipe, machine.call(&options("good"))).await.unwrap();
    engine().undeploy(&recipe, machine.call(&options("good"))).await.unwrap();
    assert_eq!(
        (machine.text("/etc/app/conf"), machine.text("/etc/app/app.toml").as_str()),
        (String::new(), toml)
    );
}

#[tokio::test]
async fn what_our_recipes_want_is_declared_in_them() {
    for (name, commands) in [("package", 1), ("postgres", 12), ("redis", 0)] {
        let component = component(name).await;
        let wants = component.inspection().wants.clone().unwrap();
        assert_eq!((wants.write.len(), wants.commands.len()), (1, commands), "{name}");
        assert!(wants.secrets.is_empty() && wants.hosts.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_component_imports_what_it_uses_and_nothing_else() {
    for (name, uses) in [
        ("disk_check", "context facts"),
        ("http_check", "context net"),
        ("nagios", "command context"),
        ("process_check", "context task"),
        ("redis", "context files log"),
        ("release", "artifact context files log release"),
        ("package", "context files log notify packages services"),
        ("postgres", "command context files log"),
    ] {
        let component = component(name).await;
        let imports = component.inspection().imports.iter();
        let ours = imports.filter_map(|import| import.strip_prefix("cerebro:recipe/"));
        let mut ours: Vec<&str> = ours.map(|import| import.split_once('@').unwrap().0).collect();
        // These two hold no functions.
        ours.retain(|name| !matches!(*name, "types" | "health"));
        ours.sort_unstable();
        assert_eq!(ours.join(" "), uses, "{name}");
    }
}

/// The programs of a PostgreSQL server, as Debian's `postgresql` brings them.
fn postgres() -> Option<String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bin = versions.map(|version| version.path().join("bin"));
    let found = bin.into_iter().find(|bin| bin.join("initdb").exists());
    if found.is_none() || !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root, and PostgreSQL's programs; install postgresql");
        return None;
    }
    found?.to_str().map(str::to_owned)
}

/// A server that ends with the test.
struct Server(std::process::Child);

impl Server {
    fn start(machine: &Machine, mut command: Command) -> Self {
        let log = fs::File::create(machine.dir.path().join("server.log")).unwrap();
        let command = command.current_dir("/").stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    fn postgres(machine: &Machine, bin: &str) -> Self {
        let user = nix::unistd::User::from_name("postgres").unwrap().unwrap();
        let mut command = Command::new(format!("{bin}/postgres"));
        command.arg("-D").arg(machine.path("/srv/db/data"));
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        Self::start(machine, command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both end on SIGINT, and give back what they share with others.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        let end = Instant::now() + Duration::from_secs(10);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a check passes; its message.
async fn ready(machine: &Machine, check: &str, options: &str) -> String {
    let check = component(check).await;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let report = engine().check(&check, machine.call(options)).await.unwrap();
        if report.status == CheckStatus::Passing {
            return report.message;
        }
        let log = machine.dir.path().join("server.log");
        assert!(Instant::now() < end, "{report:?}: {}", fs::read_to_string(log).unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_real_postgres_starts_on_what_the_recipe_made_and_keeps_its_data() {
    let Some(bin) = postgres() else { return };
    let grants = r#"{"write": ["/srv/db"], "commands": ["/usr/lib/postgresql/*/bin/"]}"#;
    let mut machine = Machine::granting(grants);
    machine.ports = vec![("db", free_port())];
    // The server's user must reach its data.
    for path in [machine.dir.path().to_owned(), machine.path("/")] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let options = |connections: u16| {
        serde_json::json!({
            "dir": "/srv/db", "bin": bin, "user": "postgres",
            "settings": {"max_connections": connections, "fsync": false},
            "hba": ["host all all 127.0.0.1/32 trust"],
        })
        .to_string()
    };
    let (recipe, check) = (component("postgres").await, component("postgres_check").await);
    engine().deploy(&recipe, machine.call(&options(20))).await.unwrap();
    let report = engine().check(&check, machine.call("{}")).await.unwrap();
    assert_eq!(report.status, CheckStatus::Critical, "{report:?}");

    let server = Server::postgres(&machine, &bin);
    assert!(ready(&machine, "postgres_check", "{}").await.ends_with("takes connections"));
    let query = |query: &str| {
        let port = machine.ports[0].1.to_string();
        let mut psql = Command::new(format!("{bin}/psql"));
        psql.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-XAtc", query]);
        let told = psql.output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(query("show max_connections"), "20");
    query("create table kept as select 7 as n");
    drop(server);

    // The second time, what is there stays, and its configuration follows the job.
    engine().deploy(&recipe, machine.call(&options(30))).await.unwrap();
    let server = Server::postgres(&machine, &bin);
    ready(&machine, "postgres_check", "{}").await;
    assert_eq!((query("show max_connections").as_str(), query("table kept").as_str()), ("30", "7"));
    drop(server);

    engine().undeploy(&recipe, machine.call(&options(30))).await.unwrap();
    assert_eq!(machine.names("/srv/db"), ["data"]);
    fs::write(machine.path("/srv/db/data/PG_VERSION"), "9\n").unwrap();
    let error = engine().deploy(&recipe, machine.call(&options(30))).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("is of PostgreSQL 9, and"), "{error}");
}

#[tokio::test]
async fn a_real_redis_starts_on_what_the_recipe_made_and_keeps_its_data() {
    if !std::path::Path::new("/usr/bin/redis-server").exists() {
        return eprintln!("skipped: this machine has no `redis-server`; install redis-server");
    }
    let mut machine = Machine::granting(r#"{"write": ["/srv/kv"]}"#);
    machine.ports = vec![("redis", free_port())];
    let recipe = component("redis").await;
    let start = || {
        let mut command = Command::new("/usr/bin/redis-server");
        command.arg(machine.path("/srv/kv/redis.conf"));
        Server::start(&machine, command)
    };
    let config = r#""config": {"maxmemory": "64mb", "save": ""}"#;
    let options = format!(r#"{{"dir": "/srv/kv", {config}}}"#);
    for (ask, told) in [
        (r#"{"send": "SET kept seven\r\n", "expect": "+OK"}"#, "as expected"),
        (r#"{"send": "GET kept\r\n", "expect": "seven"}"#, "as expected"),
        (r#"{"send": "CONFIG GET maxmemory\r\n", "expect": "67108864"}"#, "as expected"),
    ] {
        engine().deploy(&recipe, machine.call(&options)).await.unwrap();
        let server = start();
        assert!(ready(&machine, "tcp_check", ask).await.ends_with(told));
        drop(server);
    }
    engine().undeploy(&recipe, machine.call(&options)).await.unwrap();
    assert_eq!(machine.names("/srv/kv"), ["data"]);
}
