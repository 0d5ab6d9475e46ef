//! What Debian's cloud-init says of user data.

use crate::need;
use cerebro_bootstrap::cloud_init::{LARGEST, user_data};
use cerebro_bootstrap::{Architecture, JoinToken, Program, Setup, Source};
use cerebro_model::{Digest, MachineId};
use std::process::Command;

fn program(name: &str, url: &str) -> Program {
    Program {
        name: name.parse().unwrap(),
        digest: Digest::of(name.as_bytes()),
        size: 1,
        architecture: Some(Architecture::Aarch64),
        source: Source::Url(url.to_owned()),
    }
}

fn setup(token: &str, urls: &[(&str, &str)], controller: &str) -> Setup {
    let programs = urls.iter().map(|(name, url)| program(name, url)).collect();
    let (machine, zone) = (MachineId::nth(7), "aws-us-west-2a".parse().unwrap());
    Setup::new(machine, zone, controller, JoinToken::new(token), programs).unwrap()
}

#[test]
fn cloud_init_accepts_it_whatever_is_in_it() {
    need("/usr/bin/cloud-init", "cloud-init");
    let plain = [
        ("machinesitter", "http://10.0.0.1:30000/v1/agent/machinesitter"),
        ("tasksitter", "https://bucket.s3.amazonaws.com/a?X-Amz-Signature=0%2F1&b=c"),
    ];
    let odd = [(
        "machinesitter",
        "http://h/' ; : # {} [] & * ! | > % @ `id` $(id) \u{85}\u{2028}\u{7f}é\u{1f600}",
    )];
    let many: Vec<(String, String)> =
        (0..40).map(|n| (format!("program-{n}"), format!("http://h/{n}"))).collect();
    let mut many: Vec<_> = many.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    many.push(plain[0]);
    let variants = [
        setup("0123456789abcdef0123456789abcdef", &plain, "http://10.0.0.1:30000"),
        setup("t", &plain, "https://[fd00::1]:30000").at("fd00::7".parse().ok()),
        setup(
            "\0\u{1}\t\r\n\u{85}\u{feff}\u{fffe}\u{d7ff}\u{e000}\u{2028}'\"\\: #",
            &odd,
            "http://c",
        ),
        setup("", &many, "http://c"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (n, setup) in variants.iter().enumerate() {
        let text = user_data(setup).unwrap();
        assert!(text.len() <= LARGEST);
        let file = dir.path().join(format!("{n}.yaml"));
        std::fs::write(&file, &text).unwrap();
        let checked =
            Command::new("cloud-init").args(["schema", "--config-file"]).arg(&file).output();
        let checked = checked.unwrap();
        let words =
            String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
        assert!(checked.status.success() && words.contains("Valid"), "{words}\n{text}");
    }
}

#[test]
fn what_cloud_init_would_refuse_is_refused_here() {
    need("/usr/bin/cloud-init", "cloud-init");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.yaml");
    // So that the test above can fail at all.
    std::fs::write(&file, "#cloud-config\nwrite_files:\n- content: a\n").unwrap();
    let checked = Command::new("cloud-init").args(["schema", "--config-file"]).arg(&file).output();
    let checked = checked.unwrap();
    let words = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(words.contains("path"), "{words}");
    assert!(!checked.status.success() || !words.contains("Valid"), "{words}");
}
