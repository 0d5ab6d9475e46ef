//! The recipe on a fake machine.

use super::*;
use cerebro_recipe::host::types::Error;
use cerebro_recipe::{Answer, FakeHost};

const NGINX: &str = r#"{
    "packages": {"nginx": "present", "apache2": "absent"},
    "directories": {"/etc/nginx/{{ job }}": {"mode": "0750", "user": "www-data"}},
    "files": {
        "/etc/nginx/conf.d/{{ job }}.conf": {
            "content": "server { listen {{ port }}; root {{ root_dir }}; }\n",
            "mode": "0640", "user": "root", "group": "www-data"
        },
        "/etc/nginx/nginx.conf": {"block": "worker_processes 4;"}
    },
    "variables": {"root_dir": "/srv/www"},
    "service": {"name": "nginx", "on_change": "reload"},
    "check": ["/usr/sbin/nginx", "-t"]
}"#;
const CONF: &str = "/etc/nginx/conf.d/app.example.com.conf";

fn host(options: impl Into<String>) -> FakeHost {
    let files = [("/etc/nginx/nginx.conf", "events {}\n"), ("/etc/nginx/conf.d/default.conf", "")];
    FakeHost::new()
        .with_port("http", 8080)
        .with_package("nginx", "1.26.3", &files)
        .with_service("nginx")
        .with_program("/usr/sbin/nginx", |_, files| {
            let conf = files.read("/etc/nginx/nginx.conf").unwrap_or_default();
            match String::from_utf8_lossy(&conf).contains("bad") {
                true => Answer::failed(1, "nginx: unknown directive"),
                false => Answer::ok(""),
            }
        })
        .with_options(options)
}

#[test]
fn a_service_is_installed_configured_checked_and_told_once() {
    let host = host(NGINX);
    host.deploy::<Package>().unwrap();
    assert_eq!(host.text(CONF), "server { listen 8080; root /srv/www; }\n");
    assert_eq!((host.mode(CONF), host.owner(CONF).as_str()), (0o640, "root:www-data"));
    assert_eq!(host.mode("/etc/nginx/app.example.com"), 0o750);
    let text = host.text("/etc/nginx/nginx.conf");
    assert!(text.contains("events {}\n# BEGIN app.example.com (Cerebro)\nworker_"), "{text}");
    assert_eq!(
        host.take_calls(),
        [
            "package nginx",
            "directory /etc/nginx/app.example.com",
            "write /etc/nginx/conf.d/app.example.com.conf",
            "write /etc/nginx/nginx.conf",
            "service nginx",
            "run /usr/sbin/nginx -t",
            "reload service nginx",
        ]
    );
    host.deploy::<Package>().unwrap();
    assert!(host.calls().is_empty(), "{:?}", host.calls());
}

#[test]
fn a_configuration_with_mistakes_reaches_no_service_until_it_is_mended() {
    let options = NGINX.replace("worker_processes", "bad");
    let host = host(NGINX);
    host.deploy::<Package>().unwrap();
    host.take_calls();
    let host = host.with_options(options);
    let error = host.deploy::<Package>().unwrap_err();
    assert!(error.contains("unknown directive"), "{error}");
    assert!(!host.calls().contains(&"reload service nginx".to_owned()));
    host.take_calls();
    let host = host.with_options(NGINX);
    host.deploy::<Package>().unwrap();
    let expected =
        ["write /etc/nginx/nginx.conf", "run /usr/sbin/nginx -t", "reload service nginx"];
    assert_eq!(host.calls(), expected);
}

#[test]
fn files_are_merged_and_set_with_values() {
    let options = r#"{
        "packages": {},
        "files": {
            "/etc/app.toml": {"merge": {"server": {"port": 80, "name": "{{ job }}"}}},
            "/etc/app.json": {"merge": {"debug": null, "peers": ["{{ address }}"]}},
            "/etc/app.ini": {"set": {"main": {"port": "{{ port }}", "old": null}}}
        }
    }"#;
    let host = host(options)
        .with_file("/etc/app.toml", "# mine\n[server]\nport = 1 # here\n")
        .with_file("/etc/app.json", "{\"debug\": true}\n")
        .with_file("/etc/app.ini", "[main]\nold=1\n");
    host.deploy::<Package>().unwrap();
    let toml = "# mine\n[server]\nport = 80 # here\nname = \"app.example.com\"\n";
    assert_eq!(host.text("/etc/app.toml"), toml);
    assert_eq!(host.text("/etc/app.json"), "{\n  \"peers\": [\n    \"10.0.0.5\"\n  ]\n}\n");
    assert_eq!(host.text("/etc/app.ini"), "[main]\nport = 8080\n");
    host.undeploy::<Package>().unwrap();
    assert_eq!(host.text("/etc/app.toml"), toml);
}

#[test]
fn a_service_that_the_task_runs_itself_is_kept_off() {
    let options =
        r#"{"packages": {"nginx": "1.27"}, "service": {"name": "nginx", "running": false}}"#;
    let host = host(options);
    host.ensure_service(&services::Spec {
        name: "nginx".to_owned(),
        running: Some(true),
        enabled: Some(true),
    })
    .unwrap();
    host.deploy::<Package>().unwrap();
    let status = host.service("nginx").unwrap().unwrap();
    assert!(!status.running && !status.enabled);
    assert_eq!(host.package("nginx").unwrap().as_deref(), Some("1.27"));
}

#[test]
fn undeploying_takes_away_what_is_ours_and_the_packages_if_it_is_said() {
    let host = host(NGINX);
    host.deploy::<Package>().unwrap();
    host.take_calls();
    host.undeploy::<Package>().unwrap();
    assert!(!host.has(CONF));
    assert_eq!(host.text("/etc/nginx/nginx.conf"), "events {}\n");
    assert_eq!(host.package("nginx").unwrap().as_deref(), Some("1.26.3"));
    assert_eq!(host.take_calls().last().unwrap(), "reload service nginx");

    let host = host.with_options(NGINX.replacen('{', r#"{"remove": true,"#, 1));
    for _ in 0..2 {
        host.undeploy::<Package>().unwrap();
        assert_eq!(host.package("nginx").unwrap(), None);
        assert!(!host.service("nginx").unwrap().unwrap().running);
    }
    assert_eq!(host.calls(), ["service nginx", "package nginx"]);
}

#[test]
fn a_mistake_is_named_with_its_file() {
    for (file, why) in [
        (r#"{}"#, "expected one of `content`, `merge`, `set` and `block`"),
        (r#"{"content": "", "block": ""}"#, "expected one of"),
        (r#"{"content": "", "mode": "888"}"#, "`888` is no mode"),
        (r#"{"content": "{{ prot }}"}"#, "`prot` has no value"),
        (r#"{"merge": {}}"#, "`merge` is for files that end in .json or .toml"),
        (r#"{"contents": ""}"#, "unknown field `contents`"),
    ] {
        let host = host(format!(r#"{{"packages": {{}}, "files": {{"/a": {file}}}}}"#));
        let error = host.deploy::<Package>().unwrap_err();
        assert!(error.contains(why), "{error}");
        assert!(error.contains("/a") || error.contains("options"), "{error}");
    }
    let unknown = host(r#"{"packages": {"ngnix": "present"}}"#).deploy::<Package>().unwrap_err();
    assert!(unknown.contains("look after the packages: ") && unknown.contains("`ngnix`"));
    let host = host(NGINX).with_failure("package nginx", Error::Failed("no space".to_owned()));
    assert_eq!(host.deploy::<Package>().unwrap_err(), "look after the packages: no space");
    assert!(!host.has(CONF) && host.calls().is_empty());
}
