//! `settings check` by the SDK, against an account that has all that it takes, and then less.

use crate::world::{World, zones};

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_all_well_or_says_what_is_not_and_what_to_allow() {
    let world = World::new(&zones(2, 2)).await;
    let file = world.controlled.settings();
    // One that machines elsewhere would reach.
    let text = std::fs::read_to_string(&file).unwrap();
    let port = text.split("listen = \"127.0.0.1:").nth(1).unwrap().split('"').next().unwrap();
    let text = text
        .replace("listen = \"127.0.0.1:", "listen = \"0.0.0.0:")
        .replace("advertise = \"http://127.0.0.1:", "advertise = \"http://10.0.0.5:");
    assert!(text.contains(&format!("0.0.0.0:{port}")));
    std::fs::write(&file, text).unwrap();
    let check = || {
        let output = world.controlled.run(&["settings", "check", &file.to_string_lossy()]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "ok       user data of machines in aws-us-west-2a",
        "ok       credentials and permission to list instances in us-west-2",
        "ok       permission `ec2:RunInstances`",
        "ok       permission `route53:ChangeResourceRecordSets` for `startup.com`",
        "untried  permission `ec2:TerminateInstances`",
    ] {
        assert!(said.contains(line), "no `{line}` in:\n{said}");
    }
    assert!(!said.contains("Statement"), "{said}");

    world.amazon.ec2.front(|front| front.forbidden = ["RunInstances".to_owned()].into());
    let (code, said) = check();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("wrong    permission `ec2:RunInstances`"), "{said}");
    assert!(said.contains("RebootAndEndOnlyWhatIsOurs"), "{said}");
    assert!(said.contains("PublishAddressesAndMarks"), "{said}");
    assert!(world.amazon.made().is_empty(), "a check has made an instance");
    world.assert_others_untouched();
}
