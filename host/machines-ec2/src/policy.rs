//! What Cerebro has to be allowed at AWS, as a policy to attach: nothing that it does not do, and to nothing that it
//! did not make.

use crate::identity::{AGENT, CLUSTER};
use crate::settings::Ec2Settings;
use cerebro_model::ClusterName;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The policy for a cluster by these settings, as JSON text.
pub fn policy(cluster: &ClusterName, settings: &Ec2Settings) -> String {
    let places = settings.places().unwrap_or_default();
    let regions: BTreeSet<&str> = places.values().map(|it| it.region.as_str()).collect();
    let partition = regions.iter().next().map_or("aws", |region| partition(region));
    let ec2 = |what: &str| format!("arn:{partition}:ec2:*:*:{what}/*");
    let tag = |when: &str| json!({ format!("aws:{when}/{CLUSTER}"): cluster.as_str() });
    let mut statements = vec![
        json!({
            "Sid": "Look",
            "Effect": "Allow",
            "Action": [
                "ec2:DescribeImages",
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeKeyPairs",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
            ],
            "Resource": "*",
        }),
        json!({
            "Sid": "MakeMachinesWithOurTag",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": [ec2("instance"), ec2("volume")],
            "Condition": { "StringEquals": tag("RequestTag") },
        }),
        json!({
            "Sid": "MakeMachinesOf",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": [
                // Images are nobody's account's.
                format!("arn:{partition}:ec2:*::image/*"),
                ec2("key-pair"),
                ec2("network-interface"),
                ec2("security-group"),
                ec2("subnet"),
                ec2("spot-instances-request"),
            ],
        }),
        json!({
            "Sid": "TagOnlyWhatIsBeingMade",
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": [ec2("instance"), ec2("volume")],
            "Condition": { "StringEquals": { "ec2:CreateAction": "RunInstances" } },
        }),
        json!({
            "Sid": "KeepWithWhatIsOursHowItsAgentIsKnown",
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": ec2("instance"),
            "Condition": {
                "StringEquals": tag("ResourceTag"),
                "ForAllValues:StringEquals": { "aws:TagKeys": [AGENT] },
            },
        }),
        json!({
            "Sid": "RebootAndEndOnlyWhatIsOurs",
            "Effect": "Allow",
            "Action": ["ec2:RebootInstances", "ec2:StartInstances", "ec2:TerminateInstances"],
            "Resource": ec2("instance"),
            "Condition": { "StringEquals": tag("ResourceTag") },
        }),
    ];
    let profiles: BTreeSet<&str> =
        settings.zones.values().filter_map(|it| it.instance_profile.as_deref()).collect();
    if !profiles.is_empty() {
        // The console gives a role and its instance profile one name.
        let roles: Vec<String> =
            profiles.iter().map(|name| format!("arn:{partition}:iam::*:role/{name}")).collect();
        statements.push(json!({
            "Sid": "GiveMachinesTheirRole",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": roles,
            "Condition": { "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } },
        }));
    }
    let regional: Vec<Value> = statements.into_iter().map(|it| within(it, &regions)).collect();
    let policy = json!({ "Version": "2012-10-17", "Statement": regional });
    format!("{policy:#}")
}

/// The same, only in these regions.
fn within(mut statement: Value, regions: &BTreeSet<&str>) -> Value {
    let is_of_a_region = statement["Action"] != json!("iam:PassRole");
    if is_of_a_region && !regions.is_empty() {
        statement["Condition"]["StringEquals"]["aws:RequestedRegion"] = json!(regions);
    }
    statement
}

/// In which part of AWS a region is: those do not know each other.
fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Ec2Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn nothing_is_ended_that_does_not_bear_our_tag() {
        let settings = settings("[zones.aws-us-west-2a]\nimage = \"ami-1\"");
        let policy: Value =
            serde_json::from_str(&policy(&"prod".parse().unwrap(), &settings)).unwrap();
        let mut ends = 0;
        for statement in policy["Statement"].as_array().unwrap() {
            let actions = statement["Action"].to_string();
            assert!(!actions.contains('*'), "{statement}");
            let condition = &statement["Condition"]["StringEquals"];
            assert_eq!(condition["aws:RequestedRegion"], json!(["us-west-2"]), "{statement}");
            if actions.contains("Terminate") {
                ends += 1;
                assert_eq!(condition["aws:ResourceTag/cerebro:cluster"], "prod");
            }
        }
        assert_eq!(ends, 1);
        let tags = policy["Statement"].as_array().unwrap().iter();
        let tags: Vec<_> = tags.filter(|it| it["Action"] == "ec2:CreateTags").collect();
        let [made, ours] = tags.as_slice() else { panic!("{tags:?}") };
        assert_eq!(made["Condition"]["StringEquals"]["ec2:CreateAction"], "RunInstances");
        let ours = &ours["Condition"];
        assert_eq!(ours["StringEquals"]["aws:ResourceTag/cerebro:cluster"], "prod");
        assert_eq!(ours["ForAllValues:StringEquals"]["aws:TagKeys"], json!(["cerebro:agent"]));
        assert!(!policy.to_string().contains("PassRole"));
    }

    #[test]
    fn a_role_is_passed_only_if_there_is_one_and_in_its_part_of_aws() {
        let settings =
            settings("[zones.aws-cn-north-1a]\nimage = \"ami-1\"\ninstance_profile = \"machine\"");
        let text = policy(&"prod".parse().unwrap(), &settings);
        assert!(text.contains("arn:aws-cn:iam::*:role/machine"), "{text}");
        assert!(!text.contains("arn:aws:"), "{text}");
    }
}
