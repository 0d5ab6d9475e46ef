//! What Cerebro has to be allowed at Route 53, as a policy to attach.

use crate::settings::Route53Settings;
use serde_json::json;

/// The policy by these settings, as JSON text. A zone whose id they do not name may be any.
pub fn policy(settings: &Route53Settings) -> String {
    let zone = |id: &Option<String>| {
        let id = id.as_deref().unwrap_or("*");
        format!("arn:aws:route53:::hostedzone/{id}")
    };
    let mut zones: Vec<String> = settings.zones.iter().map(|it| zone(&it.id)).collect();
    zones.sort();
    zones.dedup();
    let names: Vec<String> = settings.zones.iter().map(|it| format!("*.{}", it.name)).collect();
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "FindZones",
                "Effect": "Allow",
                "Action": "route53:ListHostedZonesByName",
                "Resource": "*",
            },
            {
                "Sid": "ListRecords",
                "Effect": "Allow",
                "Action": ["route53:GetHostedZone", "route53:ListResourceRecordSets"],
                "Resource": zones,
            },
            {
                "Sid": "PublishAddressesAndMarks",
                "Effect": "Allow",
                "Action": "route53:ChangeResourceRecordSets",
                "Resource": zones,
                "Condition": {
                    "ForAllValues:StringLike": {
                        "route53:ChangeResourceRecordSetsNormalizedRecordNames": names,
                    },
                    "ForAllValues:StringEquals": {
                        "route53:ChangeResourceRecordSetsActions": ["CREATE", "DELETE"],
                        "route53:ChangeResourceRecordSetsRecordTypes": ["A", "AAAA", "TXT"],
                    },
                },
            },
            {
                "Sid": "FollowChanges",
                "Effect": "Allow",
                "Action": "route53:GetChange",
                "Resource": "arn:aws:route53:::change/*",
            },
        ],
    });
    format!("{policy:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn only_addresses_and_marks_below_our_zones_may_be_changed() {
        let settings: Route53Settings =
            toml::from_str("[[zones]]\nname = \"startup.com\"\nid = \"Z1\"").unwrap();
        let policy: Value = serde_json::from_str(&policy(&settings)).unwrap();
        let change = &policy["Statement"][2];
        assert_eq!(change["Resource"], json!(["arn:aws:route53:::hostedzone/Z1"]));
        let names = &change["Condition"]["ForAllValues:StringLike"];
        assert_eq!(
            names["route53:ChangeResourceRecordSetsNormalizedRecordNames"],
            json!(["*.startup.com"])
        );
        assert!(!change["Condition"].to_string().contains("CNAME"));
    }
}
