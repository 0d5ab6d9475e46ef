//! What a check of the settings finds.

use crate::world::{World, ZONE, request, until_running};
use cerebro_aws::Finding;
use cerebro_machines::MachineProvider;

fn wrong(findings: &[Finding]) -> Vec<String> {
    findings.iter().filter(|it| it.is_wrong()).map(ToString::to_string).collect()
}

#[tokio::test]
async fn all_is_well_and_nothing_was_made() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    let findings = provider.check(&request("m-0")).await;
    let text = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(wrong(&findings).is_empty(), "{text}");
    assert!(text.contains("untried  permission `ec2:TerminateInstances`"), "{text}");
    assert!(text.contains("ok       permission `ec2:RunInstances`"), "{text}");
    assert!(text.contains("c7i.large, m7i.large, r7i.large"), "{text}");
    assert!(world.server.touched().is_empty());
    // With a machine, all can be tried.
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    let findings = provider.check(&request("m-0")).await;
    let text = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(!text.contains("untried") && wrong(&findings).is_empty(), "{text}");
    assert_eq!(world.alive("m-1").len(), 1);
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_found() {
    let table = [
        ("\"ops\"", "\"lost\"", "key pair `lost`"),
        ("sg-0123456789abcdef0", "sg-lost", "security group `sg-lost`"),
        ("subnet-0123456789abcdefa", "subnet-lost", "subnet `subnet-lost`"),
        ("subnet-0123456789abcdefa", "subnet-0123456789abcdefb", "it is in us-west-2b"),
        ("ami-0123456789abcdef0", "ami-lost", "image `ami-lost`"),
        ("\"cerebro\"", "\"lost\"", "iamInstanceProfile"),
        ("c7i.large\", \"m7i.large\", \"r7i.large", "m3.none", "types of instances"),
    ];
    for (from, to, found) in table {
        let world = World::with(&ZONE.replace(from, to), |_| {}).await;
        let wrong = wrong(&world.provider("notes").await.check(&request("m-0")).await);
        assert!(wrong.iter().any(|it| it.contains(found)), "{to}: {wrong:?}");
    }
}

#[tokio::test]
async fn lacking_permissions_and_credentials_are_found() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    for action in [
        "RunInstances",
        "TerminateInstances",
        "RebootInstances",
        "StartInstances",
        "CreateTags",
        "DescribeSubnets",
    ] {
        world.server.front(|front| front.forbidden = [action.to_owned()].into());
        let wrong = wrong(&provider.check(&request("m-0")).await);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(
            wrong[0].contains("UnauthorizedOperation") && wrong[0].contains(action),
            "{wrong:?}"
        );
    }
    world.server.front(|front| front.keys = vec!["ANOTHER".to_owned()]);
    let wrong = wrong(&provider.check(&request("m-0")).await);
    assert!(wrong.len() == 1 && wrong[0].contains("AuthFailure"), "{wrong:?}");
    assert!(provider.policy().contains("aws:ResourceTag/cerebro:cluster"));
}
