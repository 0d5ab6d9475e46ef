use super::*;
use std::sync::Arc;

fn path(text: &str) -> PathPattern {
    PathPattern::try_from(text.to_owned()).unwrap()
}

fn command(text: &str) -> CommandPattern {
    CommandPattern::try_from(text.to_owned()).unwrap()
}

fn argv(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn grants(json: serde_json::Value) -> Grants {
    serde_json::from_value(json).unwrap()
}

#[test]
fn a_path_covers_itself_and_what_is_below() {
    let release = path("/opt/startup/");
    assert!(release.covers("/opt/startup") && release.covers("/opt/startup/a/b"));
    assert!(!release.covers("/opt/startup2") && !release.covers("/opt"));
    assert!(path("/").covers("/etc"));
    assert_eq!(path("/opt/**"), path("/opt"));
    for bad in ["opt", "/a/../b", "/a//b", "/a/./b", "/a/*", "/a\0b"] {
        assert!(PathPattern::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn a_denial_names_the_import_and_the_line_to_add() {
    let none = Grants::default();
    let error = none.write("/etc/passwd").unwrap_err();
    assert_eq!(
        error.clone().at("cerebro:recipe/archive").to_string(),
        "`cerebro:recipe/archive`: writing `/etc/passwd` is not granted; to allow it, add \
         \"/etc/passwd\" to `grants.write` of the job"
    );
    assert!(error.to_string().starts_with("`cerebro:recipe/files`"));
    let said = |result: Result<(), Denied>| result.unwrap_err().to_string();
    for (error, import, line) in [
        (said(none.read("/a")), "files", r#"add "/a" to `grants.read`"#),
        (
            said(none.run(&argv("/bin/a b"), None)),
            "command",
            r#"add "/bin/a b" to `grants.commands`"#,
        ),
        (
            said(none.run(&argv("/bin/a b"), Some("www"))),
            "command",
            r#"add {"argv":["/bin/a","b"],"user":"www"} to `grants.commands`"#,
        ),
        (
            said(none.run(&["/bin/a".to_owned(), "b c".to_owned()], None)),
            "command",
            r#"add {"argv":["/bin/a","b c"]} to"#,
        ),
        (said(none.connect("::1", 80)), "net", r#"add "[::1]:80" to `grants.hosts`"#),
        (said(none.resolve("db.x")), "net", r#"add "db.x:*" to `grants.hosts`"#),
        (said(none.fetch("https://h/a?b=c")), "artifact", r#"add "https://h/a" to `grants.urls`"#),
        (said(none.install("nginx")), "packages", r#"add "nginx" to `grants.packages`"#),
        (said(none.refresh_packages()), "packages", "to `grants.packages`"),
        (said(none.service("nginx")), "services", r#"add "nginx" to `grants.services`"#),
        (said(none.reload_services()), "services", "to `grants.services`"),
        (said(none.user("www")), "users", r#"add "www" to `grants.users`"#),
        (said(none.group("www")), "users", r#"add "www" to `grants.users`"#),
        (said(none.secret("key")), "secret", r#"add "key" to `grants.secrets`"#),
        (said(none.task("0.z.j")), "task", r#"add "0.z.j" to `grants.tasks`"#),
    ] {
        assert!(error.starts_with(&format!("`cerebro:recipe/{import}`: ")), "{error}");
        assert!(error.contains(line), "{error}");
    }
}

#[test]
fn the_line_of_a_denial_is_enough() {
    let words = ["/usr/bin/psql", "-c", "select 'a b' from \"x\\y\"", ""].map(str::to_owned);
    let user = Some("postgres");
    let line = Grants::default().run(&words, user).unwrap_err().line;
    let one: CommandPattern = serde_json::from_str(&line).unwrap();
    assert!(
        one.covers(&words, user) && !one.covers(&words, None) && !one.covers(&words[..3], user)
    );
}

#[test]
fn hosts_match_by_name_ending_network_and_port() {
    let covers = |pattern: &str, host: &str, port| {
        HostPattern::try_from(pattern.to_owned()).unwrap().covers(host, port)
    };
    for (pattern, host, port) in [
        ("db.internal:*", "DB.internal", 5432),
        ("*.internal:443", "a.b.internal", 443),
        ("10.0.0.0/8:5432", "10.255.0.1", 5432),
        ("10.0.0.0/8:5432", "::ffff:10.1.2.3", 5432),
        ("0.0.0.0/0:*", "8.8.8.8", 1),
        ("[::ffff:10.0.0.0/104]:1", "10.1.2.3", 1),
        ("[2001:db8::/32]:443", "2001:db8:1::1", 443),
        ("[::1]:80", "0:0:0:0:0:0:0:1", 80),
        ("::1:80", "::1", 80),
        ("*:443", "anything.example", 443),
        ("*:*", "1.2.3.4", 1),
    ] {
        assert!(covers(pattern, host, port), "{pattern} {host}");
    }
    for (pattern, host, port) in [
        ("db.internal:*", "db2.internal", 5432),
        ("*.internal:443", "internal", 443),
        ("*.internal:443", "xinternal", 443),
        ("*.internal:443", "a.internal", 80),
        ("*.internal:443", "a.internal.evil.example", 443),
        ("10.0.0.0/8:5432", "11.0.0.1", 5432),
        ("10.0.0.0/8:5432", "a.10.0.0.1", 5432),
        ("[2001:db8::/32]:443", "2001:db9::1", 443),
        ("0.0.0.0/0:*", "::1", 1),
        ("[::ffff:10.0.0.0/104]:1", "11.1.2.3", 1),
        ("*:443", "a", 80),
    ] {
        assert!(!covers(pattern, host, port), "{pattern} {host}");
    }
    for bad in [
        "db",
        "db:x",
        ":80",
        "db:70000",
        "a b:80",
        "10.0.0.1/8:1",
        "10.0.0.0/33:1",
        "*a:1",
        "*.:1",
        "*.10:1",
        "a.*.b:1",
        "[::1:80",
        "",
    ] {
        assert!(HostPattern::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    for same in ["*.a:*", "10.0.0.0/8:1", "[2001:db8::/32]:1", "[::1]:*", "1.2.3.4:5", "*:*"] {
        assert_eq!(HostPattern::try_from(same.to_owned()).unwrap().to_string(), same);
    }
    for (text, means) in [
        ("[::ffff:1.2.3.4/128]:1", "1.2.3.4:1"),
        ("[::ffff:10.0.0.0/104]:1", "10.0.0.0/8:1"),
        ("[::1/128]:1", "[::1]:1"),
    ] {
        assert_eq!(HostPattern::try_from(text.to_owned()).unwrap().to_string(), means);
    }
}

#[test]
fn urls_match_by_whole_parts_of_their_path() {
    let covers =
        |pattern: &str, url: &str| UrlPattern::try_from(pattern.to_owned()).unwrap().covers(url);
    for (pattern, url) in [
        ("https://dl.example.com/app/", "https://dl.example.com/app/1.tar.gz?sig=a/../b"),
        ("https://dl.example.com/app", "https://dl.example.com/app"),
        ("https://dl.example.com/app", "HTTPS://DL.example.com:443/app/x#y"),
        ("https://dl.example.com", "https://dl.example.com?x"),
        ("http://[::1]:8080/", "http://[::1]:8080/a"),
    ] {
        assert!(covers(pattern, url), "{pattern} {url}");
    }
    let ours = "https://dl.example.com/app/";
    for url in [
        "https://dl.example.com/app",
        "https://dl.example.com/apps/x",
        "http://dl.example.com/app/x",
        "https://dl.example.com:444/app/x",
        "https://dl.example.com.evil.example/app/x",
        "https://dl.example.com@evil.example/app/x",
        "https://evil.example/https://dl.example.com/app/",
        "https://dl.example.com/app/../x",
        "https://dl.example.com/app/%2e%2E/x",
        "https://dl.example.com/app/..%2fx",
        "https://dl.example.com/app/..%5Cx",
        "https://dl.example.com/app/..\\x",
        "https://dl.example.com\\@evil.example/app/",
        "https://dl.example.com/app/\t../x",
        "ftp://dl.example.com/app/",
        "https:///app/",
        "/app/",
        "",
        "https://dl%2eexample.com/app/",
        "https://dl.example.com:x/app/",
    ] {
        assert!(!covers(ours, url), "{url}");
        assert!(grants(serde_json::json!({"urls": [ours]})).fetch(url).is_err());
    }
    for bad in [
        "dl.example.com/app",
        "https://u:p@h/",
        "https://h/*",
        "https://h/?a",
        "https://h/a/../b",
        "file:///etc",
    ] {
        assert!(UrlPattern::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    let secret = Grants::default().fetch("https://me:hunter2@h/").unwrap_err().to_string();
    assert!(secret.contains("a user or a password") && !secret.contains("hunter2"), "{secret}");
}

#[test]
fn a_program_alone_is_granted_with_any_arguments() {
    let cli = command("/usr/bin/redis-cli");
    assert!(cli.covers(&argv("/usr/bin/redis-cli"), None));
    assert!(cli.covers(&argv("/usr/bin/redis-cli -h x"), Some("anyone")));
    assert!(!cli.covers(&argv("/usr/bin/redis-cli2"), None) && !cli.covers(&[], None));
    assert!(!cli.covers(&argv("/usr/bin/redis-cli/x"), None), "it is no directory");
    for dir in ["/opt/app/bin/", "/opt/app/bin/**"] {
        let dir = command(dir);
        assert!(dir.covers(&argv("/opt/app/bin/run now"), None));
        assert!(dir.covers(&argv("/opt/app/bin/a/b"), None));
        assert!(
            !dir.covers(&argv("/opt/app/bin"), None) && !dir.covers(&argv("/opt/app/binx/a"), None)
        );
    }
    let versions = command("/usr/lib/postgresql/*/bin/pg_ctl");
    assert!(versions.covers(&argv("/usr/lib/postgresql/17/bin/pg_ctl stop"), None));
    assert!(!versions.covers(&argv("/usr/lib/postgresql/17/x/bin/pg_ctl"), None));
}

#[test]
fn words_must_match_one_by_one() {
    for (pattern, yes, no) in [
        ("/b/app reload", vec!["/b/app reload"], vec!["/b/app", "/b/app reload x", "/b/app stop"]),
        (
            "/b/app get *",
            vec!["/b/app get x"],
            vec!["/b/app get", "/b/app get x y", "/b/app get --all"],
        ),
        ("/b/app --at=*", vec!["/b/app --at=5"], vec!["/b/app -at=5"]),
        ("/b/app get **", vec!["/b/app get", "/b/app get --a b"], vec!["/b/app", "/b/app put"]),
        ("/b/cat /opt/a/*", vec!["/b/cat /opt/a/b/c"], vec!["/b/cat /opt/a/../../etc/shadow"]),
        ("/b/app dir=/a/*", vec!["/b/app dir=/a/b"], vec!["/b/app dir=/a/.."]),
    ] {
        let pattern = command(pattern);
        assert!(yes.iter().all(|words| pattern.covers(&argv(words), None)), "{pattern}");
        assert!(!no.iter().any(|words| pattern.covers(&argv(words), None)), "{pattern}");
    }
    for bad in [
        "",
        "app",
        "app x",
        "/b/../c",
        "/b//c",
        "/b/**/c",
        "/b ** c",
        "/b/app 'a b'",
        "/b/app a\\ b",
    ] {
        assert!(CommandPattern::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    let error = CommandPattern::try_from("/b/app 'a b'".to_owned()).unwrap_err();
    assert!(error.contains("no shell reads it") && error.contains("argv"), "{error}");
}

#[test]
fn an_object_fixes_the_user_too() {
    let json = r#"{"argv":["/usr/bin/psql","-c","select 1"],"user":"postgres"}"#;
    let psql: CommandPattern = serde_json::from_str(json).unwrap();
    let words = ["/usr/bin/psql", "-c", "select 1"].map(str::to_owned);
    assert!(psql.covers(&words, Some("postgres")));
    assert!(!psql.covers(&words, None) && !psql.covers(&words, Some("root")));
    assert_eq!(serde_json::to_string(&psql).unwrap(), json);
    for bad in [
        r#"{"user":"a"}"#,
        r#"{"argv":[]}"#,
        r#"{"argv":["/a"],"who":"b"}"#,
        "7",
        r#"{"argv":["/a"],"user":""}"#,
    ] {
        assert!(serde_json::from_str::<CommandPattern>(bad).is_err(), "{bad}");
    }
    let error = serde_json::from_str::<CommandPattern>("7").unwrap_err().to_string();
    assert!(error.contains("expected a command"), "{error}");
}

#[test]
fn names_may_hold_stars_and_options_are_no_names() {
    let some = grants(serde_json::json!({
        "packages": ["nginx", "php8.*-fpm"], "services": ["app@*"], "users": ["www-data"],
        "secrets": ["db.password"], "tasks": ["*.portal.startup.com"],
    }));
    assert!(some.install("nginx").is_ok() && some.install("php8.4-fpm").is_ok());
    assert!(some.install("nginx-extras").is_err() && some.install("php8.4-cli").is_err());
    assert!(some.refresh_packages().is_ok() && some.reload_services().is_ok());
    assert!(some.service("app@1").is_ok() && some.service("app").is_err());
    assert!(
        some.user("www-data").is_ok()
            && some.group("www-data").is_ok()
            && some.user("root").is_err()
    );
    assert!(some.secret("db.password").is_ok() && some.secret("db").is_err());
    assert!(some.task("0.z.portal.startup.com").is_ok() && some.task("0.z.other").is_err());
    let any = grants(serde_json::json!({ "packages": ["*"] }));
    assert!(any.install("anything").is_ok());
    let error = any.install("-oDpkg::Pre-Invoke::=sh").unwrap_err().to_string();
    assert!(error.contains("cannot be granted"), "{error}");
    for bad in ["", "-y", "a b", "a/b", "a\"b", "ü"] {
        assert!(NamePattern::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn both_keys_are_needed() {
    let granted = Arc::new(grants(serde_json::json!({ "write": ["/opt"] })));
    let wanted = Arc::new(grants(serde_json::json!({ "write": ["/opt/app", "/etc/app"] })));
    let both = Allowed::new(granted.clone(), Some(wanted));
    let write = |path: &str| both.check(|grants| grants.write(path));
    assert_eq!(write("/opt/app/x"), Ok(()));
    let error = write("/etc/app/x").unwrap_err().to_string();
    assert!(error.contains("`grants.write` of the job"), "{error}");
    let error = write("/opt/other").unwrap_err().to_string();
    assert!(
        error.contains("does not declare")
            && error.contains("\"/opt/other\" to `write` of the component's wants"),
        "{error}"
    );
    assert!(Allowed::new(granted, None).check(|grants| grants.write("/opt/other")).is_ok());
}

#[test]
fn what_is_wanted_and_not_granted_is_listed_line_by_line() {
    let wants = grants(serde_json::json!({
        "read": ["/etc/app"], "write": ["/opt/app"], "commands": ["/b/app reload", "/b/x"],
        "hosts": ["a.internal:443", "10.1.0.0/16:5432"], "urls": ["https://h/a/b"],
        "packages": ["php8.*-fpm"], "services": ["nginx"], "users": ["www"], "secrets": ["k"], "tasks": ["t"],
    }));
    assert_eq!(wants.missing(&wants), [], "what is granted covers itself");
    let lines: Vec<_> = Grants::default().missing(&wants).iter().map(Line::to_string).collect();
    assert_eq!(
        lines,
        [
            "grants.read: \"/etc/app\"",
            "grants.write: \"/opt/app\"",
            "grants.commands: \"/b/app reload\"",
            "grants.commands: \"/b/x\"",
            "grants.hosts: \"a.internal:443\"",
            "grants.hosts: \"10.1.0.0/16:5432\"",
            "grants.urls: \"https://h/a/b\"",
            "grants.packages: \"php8.*-fpm\"",
            "grants.services: \"nginx\"",
            "grants.users: \"www\"",
            "grants.tasks: \"t\"",
            "grants.secrets: \"k\"",
        ]
    );
    let wide = grants(serde_json::json!({
        "write": ["/opt", "/etc/app"], "commands": ["/b/app *", "/b/"], "hosts": ["*.internal:*", "10.0.0.0/8:*"],
        "urls": ["https://h/"], "packages": ["php*"], "services": ["*"], "users": ["w*"], "secrets": ["k"], "tasks": ["*"],
    }));
    assert_eq!(wide.missing(&wants), []);
    assert!(!wants.missing(&wide).is_empty());
}

#[test]
fn what_has_no_bound_is_told_with_its_reason() {
    let cases = [
        ("write", "/", "machine itself"),
        ("write", "/etc", "machine itself"),
        ("write", "/usr/local/bin/x", "looked for in"),
        ("write", "/etc/systemd/system/a.service", "root or the kernel"),
        ("write", "/proc/sys", "root or the kernel"),
        ("write", "/home/me/.ssh", "log in"),
        ("commands", "/bin/sh", "interpreter"),
        ("commands", "/usr/bin/python3.12", "interpreter"),
        ("commands", "/usr/bin/perl5", "interpreter"),
        ("commands", "/bin/sh -s", "interpreter"),
        ("commands", "/bin/bash -c *", "interpreter"),
        ("commands", "/usr/bin/env", "other programs"),
        ("commands", "/usr/bin/sudo /bin/sh -c x", "other programs"),
        ("commands", "/usr/bin/find / **", "other programs"),
        ("commands", "/usr/bin/apt-get install *", "package manager"),
        ("commands", "/bin/cp", "whatever file"),
        ("commands", "/opt/app/bin/run", "write the program"),
        ("commands", "/opt/", "write the program"),
        ("commands", "/bin/sh /opt/app/x.sh", "can write `/opt/app/x.sh`"),
        ("commands", "/usr/bin/", "among these"),
        ("commands", "/usr/bin/*", "among these"),
        ("commands", "/lib64/ld-linux-x86-64.so.2", "other programs"),
        ("commands", "/usr/bin/dpkg -i /opt/app/a.deb", "can write"),
        ("hosts", "*:443", "every host"),
        ("hosts", "0.0.0.0/0:*", "every host"),
        ("packages", "*", "every package"),
        ("users", "*", "rules the machine"),
        ("users", "root", "rules the machine"),
        ("users", "docker", "rules the machine"),
    ];
    for (key, value, why) in cases {
        let mut all = serde_json::json!({ "write": ["/opt/app"] });
        all[key] = serde_json::json!([value]);
        if key == "commands" {
            all["write"] = serde_json::json!(["/opt/app"]);
        }
        let found = grants(all).unbounded();
        assert_eq!(found.len(), 1, "{key} {value}: {found:?}");
        assert!(found[0].key == key && found[0].why.contains(why), "{value}: {}", found[0]);
        assert!(found[0].to_string().starts_with("UNBOUNDED: "));
    }
}

#[test]
fn what_has_a_bound_is_not_called_unbounded() {
    let bounded = grants(serde_json::json!({
        "read": ["/"],
        "write": ["/opt/app", "/etc/nginx", "/var/lib/app", "/usr/share/app", "/dev/shm/app", "/srv"],
        "commands": [
            "/usr/bin/redis-cli", "/usr/bin/touch", "/bin/sh /usr/share/other/setup.sh --all", "/usr/sbin/nginx -t",
            { "argv": ["/bin/sh", "-c", "echo a | wc -l"] }, "/usr/bin/apt-get update", "/bin/systemctl restart nginx",
            "/bin/cp /opt/app/a.conf /opt/app/b.conf", "/usr/bin/shasum",
        ],
        "hosts": ["10.0.0.0/8:*", "*.internal:443"], "urls": ["https://h/"], "packages": ["nginx*"],
        "services": ["*"], "users": ["www-data"], "tasks": ["*"],
    }));
    assert_eq!(bounded.unbounded(), []);
}

#[test]
fn old_and_new_grants_are_written_as_they_were_read() {
    let text = r#"{"read":["/a"],"write":["/b"],"commands":["/c","/d/","/e f **",{"argv":["/g","h i"]}],"hosts":["j:1"],"urls":["https://k/l"],"packages":["m"],"services":["n"],"users":["o"],"secrets":["p"],"tasks":["q"]}"#;
    let read: Grants = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    let error = serde_json::from_str::<Grants>(r#"{"comands": []}"#).unwrap_err().to_string();
    assert!(error.contains("unknown field `comands`"), "{error}");
}
