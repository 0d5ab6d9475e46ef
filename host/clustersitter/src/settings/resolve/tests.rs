use super::*;
use crate::settings::Arguments;
use clap::Parser;
use std::path::Path;

/// Everything that a file can say, but for what excludes each other.
const FILE: &str = r#"
data = "/var/lib/cerebro"
listen = "10.0.0.5:30000"
advertise = "http://10.0.0.5:30000"
cluster = "prod"
machines = "ec2"
bin_dir = "/opt/cerebro/bin"
observe_only = true
no_repair_limits = false

[machine]
cpus = 2
mem = 3500
disk = 20000

[zones.aws-us-west-2a]
min = 2
max = 4
idle = 1
idle_for = 300

[zones.aws-us-west-2b]
min = 1

[local]
network = "own"
unprivileged = true

[ec2.zones.aws-us-west-2a]
image = "ami-0123456789abcdef0"

[ec2.zones.aws-us-west-2b]
image = "ami-0123456789abcdef0"

[[route53.zones]]
name = "startup.com"
"#;

/// Resolved from a TOML file and a command line; the error in words.
fn resolved(file: &str, line: &[&str]) -> Result<Settings, String> {
    let said = Arguments::try_parse_from([&["clustersitter"], line].concat()).unwrap().serve;
    let file = SettingsFile::parse(Path::new("s.toml"), file).map_err(|it| it.to_string())?;
    Settings::resolve(said, file).map_err(|it| it.to_string())
}

#[test]
fn what_nobody_says_is_as_usual() {
    let settings = resolved("", &[]).unwrap();
    assert_eq!(settings.listen, "127.0.0.1:30000".parse().unwrap());
    assert_eq!(settings.data, Path::new("cerebro-data"));
    assert_eq!((settings.machine.cpu.millis(), settings.machine.mem.get()), (4000, 4096));
    assert_eq!(settings.machine.disk.get(), 10_240);
    assert_eq!(settings.zones.len(), 0);
    let local = Machines::Local { network: Network::Host, unprivileged: false };
    assert_eq!(settings.machines, local);
}

#[test]
fn a_file_says_it_all_in_each_format() {
    let toml = resolved(FILE, &[]).unwrap();
    assert_eq!(toml.cluster.as_ref().unwrap().as_str(), "prod");
    let zone = toml.zones[&"aws-us-west-2a".parse().unwrap()];
    assert_eq!((zone.min, zone.max, zone.idle, zone.idle_for.as_secs()), (2, 4, Some(1), 300));
    let zone = toml.zones[&"aws-us-west-2b".parse().unwrap()];
    assert_eq!((zone.min, zone.max, zone.idle), (1, 5, None));
    assert!(matches!(&toml.names, Names::Route53(it) if it.zones.len() == 1));
    assert!(toml.observe_only && !toml.no_repair_limits);
    assert_eq!((toml.machine.mem.get(), toml.machine.disk.get()), (3500, 20_000));

    let file = SettingsFile::parse(Path::new("s.toml"), FILE).unwrap();
    let json = serde_json::to_string(&file).unwrap();
    let again = SettingsFile::parse(Path::new("s.json"), &json).unwrap();
    assert_eq!(again, file);
    // JSON is YAML, too.
    let again = SettingsFile::parse(Path::new("s.yaml"), &json).unwrap();
    assert_eq!(again, file);
    let yaml = "zones:\n  aws-us-west-2a:\n    min: 2\nmachine:\n  cpus: 1.5\n  mem: 100\n";
    let yaml = SettingsFile::parse(Path::new("s.yml"), yaml).unwrap();
    assert_eq!(yaml.machine.unwrap().cpus.millis(), 1500);
    let error = SettingsFile::parse(Path::new("s.conf"), "").unwrap_err().to_string();
    assert!(error.contains("`s.conf`") && error.contains(".toml"), "{error}");
}

#[test]
fn what_is_not_known_is_named_with_its_place() {
    let of = |name: &str, text: &str| {
        SettingsFile::parse(Path::new(name), text).unwrap_err().to_string()
    };
    let error = of("s.toml", "data = \"a\"\nlisten_on = \"127.0.0.1:1\"\n");
    assert!(error.starts_with("s.toml:2:1:") && error.contains("`listen_on`"), "{error}");
    assert!(error.contains("did you mean `listen`?"), "{error}");
    let error = of("s.toml", &FILE.replace("image =", "imago ="));
    assert!(error.contains("`imago`") && error.starts_with("s.toml:"), "{error}");
    let error = of("s.yaml", "zones:\n  z-1:\n    mim: 2\n");
    assert!(error.starts_with("s.yaml:3:") && error.contains("mim"), "{error}");
    let error = of("s.json", "{\n  \"zones\": {\"z-1\": {\"mim\": 2}}\n}");
    assert!(error.starts_with("s.json:2:") && error.contains("mim"), "{error}");
}

#[test]
fn the_command_line_counts_before_the_file() {
    let line =
        ["--listen", "127.0.0.1:1", "--zone", "aws-us-west-2b=3", "--machine", "cpus=1,mem=64"];
    let settings = resolved(FILE, &line).unwrap();
    assert_eq!(settings.listen.port(), 1);
    assert_eq!(settings.zones.keys().map(ZoneName::as_str).collect::<Vec<_>>(), ["aws-us-west-2b"]);
    assert_eq!(settings.machine.mem.get(), 64);
    assert_eq!(settings.data, Path::new("/var/lib/cerebro"));

    assert!(!resolved(FILE, &["--observe-only=false"]).unwrap().observe_only);
    assert!(resolved("", &["--observe-only"]).unwrap().observe_only);
    let settings = resolved(FILE, &["--machines", "local", "--network", "host"]).unwrap();
    let local = Machines::Local { network: Network::Host, unprivileged: true };
    assert_eq!(settings.machines, local);
    let settings = resolved(FILE, &["--dns", "127.0.0.1:53"]).unwrap();
    assert!(matches!(settings.names, Names::Embedded(_)), "{:?}", settings.names);
    let update = "[rfc2136]\nserver = \"192.0.2.1:53\"\nzone = \"a.b\"\nkey_file = \"k\"\n";
    match resolved(update, &["--dns-zone", "c.d"]).unwrap().names {
        Names::Rfc2136 { zone, key_file, .. } => {
            assert_eq!((zone.as_str(), key_file.as_path()), ("c.d", Path::new("k")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_are_answered_beside_the_controller_unless_somebody_says_otherwise() {
    let names = |file: &str, line: &[&str]| resolved(file, line).unwrap().names;
    for (listen, at) in [
        ("127.0.0.1:30000", "127.0.0.1:30053"),
        ("[::1]:65500", "[::1]:65447"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        let Names::Usual(own) = names("", &["--listen", listen]) else { panic!("{listen}") };
        assert_eq!((own.listen, own.host.as_str()), (at.parse().unwrap(), "ns.cerebro.internal"));
    }
    let Names::Usual(own) = names("", &["--dns-host", "ns.a.b"]) else { panic!() };
    assert_eq!(own.host, "ns.a.b");
    let update = "[rfc2136]\nserver = \"192.0.2.1:53\"\nzone = \"a.b\"\nkey_file = \"k\"\n";
    for (file, line) in [
        ("", ["--dns", "off"].as_slice()),
        (update, &["--dns", "off"]),
        ("[dns]\nlisten = \"off\"\n", &[]),
    ] {
        assert_eq!(names(file, line), Names::Nowhere, "{file}");
    }
}

#[test]
fn what_is_shown_is_a_file_that_says_the_same() {
    let update = "[rfc2136]\nserver = \"192.0.2.1:53\"\nzone = \"a.b\"\nkey_file = \"k\"\n";
    let dns = "[dns]\nlisten = \"127.0.0.1:53\"\n[machine]\ncpus = 1\nmem = 64\n";
    let (off, host) = ("[dns]\nlisten = \"off\"\n", "[dns]\nhost = \"ns.a.b\"\n");
    for file in ["", FILE, update, dns, off, host] {
        let settings = resolved(file, &[]).unwrap();
        let shown = toml::to_string(&settings.file()).unwrap();
        assert_eq!(resolved(&shown, &[]).unwrap(), settings, "{shown}");
    }
}

#[test]
fn what_does_not_fit_together_is_refused_with_what_to_do() {
    let why = |file: &str, line: &[&str]| resolved(file, line).unwrap_err();
    let without = |line: &str| FILE.replace(line, "");
    let error = why(&without("advertise = \"http://10.0.0.5:30000\""), &[]);
    assert!(error.contains("`advertise`") && error.contains("--advertise"), "{error}");
    let error = why(&without("cluster = \"prod\""), &[]);
    assert!(error.contains("EC2 needs `cluster`"), "{error}");
    assert!(why(&without("machines = \"ec2\""), &[]).contains("`machines = \"ec2\"`"));
    assert!(why("", &["--machines", "ec2"]).contains("no section `[ec2]`"));
    let error = why(FILE, &["--zone", "aws-us-west-2c=1"]);
    assert!(error.contains("`[ec2.zones.aws-us-west-2c]`"), "{error}");
    resolved(FILE, &["--zone", "rack-1=0..0"]).unwrap();
    assert!(why(&FILE.replace("ami-", "am-"), &[]).contains("`am-0123456789abcdef0`"));
    assert!(why("[zones.z]\nmin = 2\nmax = 1\n", &[]).contains("zone `z` allows fewer"));
    for bad in ["10.0.0.5:30000", "http://", "http:///a", "http://u:p@a", "http://a b", "ftp://a"] {
        assert!(why("", &["--advertise", bad]).contains("no base URL"), "{bad}");
    }
    let both = format!("{FILE}[dns]\nlisten = \"127.0.0.1:53\"\n");
    assert!(why(&both, &[]).contains("`[dns]`, `[route53]`"));
    let lines = ["--dns", "127.0.0.1:53", "--dns-update", "127.0.0.1:54"];
    assert!(why("", &lines).contains("--dns, --dns-update"));
    assert!(why("", &["--dns-update", "127.0.0.1:54"]).contains("give --dns-zone"));
    assert!(why(FILE, &["--dns-host", "a.b"]).contains("give --dns too"));
    assert!(why("[dns]\nlisten = \"on\"\n", &[]).contains("neither `off` nor an address"));
    assert!(why("[route53]\n", &[]).contains("names no zone"));
    let route53 = "[[route53.zones]]\nname = \"startup.com\"\n";
    assert!(why(route53, &[]).contains("Route 53 needs `cluster`"));
}

#[test]
fn what_the_guides_show_is_taken() {
    let blocks = |guide: &'static str| {
        let behind = guide.split("```toml\n").skip(1);
        behind.filter_map(|it| it.split("```").next()).collect::<Vec<_>>()
    };
    let settings = blocks(include_str!("../../../../../docs/settings.md"));
    assert_eq!(settings.len(), 3);
    assert!(matches!(resolved(settings[0], &[]).unwrap().machines, Machines::Ec2(_)));
    for names in &settings[1..] {
        let names = resolved(names, &[]).unwrap().names;
        assert!(matches!(names, Names::Embedded(_) | Names::Rfc2136 { .. }), "{names:?}");
    }
    let aws = blocks(include_str!("../../../../../docs/guides/aws.md"));
    assert_eq!(aws.len(), 1);
    let aws = resolved(aws[0], &[]).unwrap();
    assert!(matches!((aws.machines, aws.names), (Machines::Ec2(_), Names::Route53(_))));
}
