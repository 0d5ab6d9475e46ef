//! Whether settings, credentials and permissions are right, without changing anything.

use super::Route53Dns;
use crate::batch::{Act, Step};
use crate::settings::HostedZone;
use cerebro_aws::{Finding, Kind};
use cerebro_dns::{DnsError, Group};

/// A name that nobody has, below which it is tried what is allowed.
const PROBE: &str = "cerebro-check";

impl Route53Dns {
    /// Looks at everything that publishing needs: credentials, each zone, and each permission.
    pub async fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for zone in &self.0.settings.zones {
            findings.extend(self.check_zone(zone).await);
        }
        findings
    }

    async fn check_zone(&self, zone: &HostedZone) -> Vec<Finding> {
        let inner = &self.0;
        let what = format!("hosted zone `{}`", zone.name);
        let group = match (PROBE.parse(), zone.name.parse()) {
            (Ok(zone), Ok(job)) => Group { zone, job },
            _ => return vec![Finding::wrong(what, "no job can have a name in it")],
        };
        let id = match inner.zone(&group, "find it").await {
            Ok(id) => id,
            Err(DnsError::Refused { why, .. } | DnsError::Unavailable { why, .. }) => {
                return vec![Finding::wrong(what, why)];
            }
            Err(error) => return vec![Finding::wrong(what, error.to_string())],
        };
        let mut findings = vec![Finding::fine(format!("{what}, {id}"))];
        let what = format!("permission `route53:ListResourceRecordSets` for `{}`", zone.name);
        findings.push(match inner.api.sets(&id, &group).await {
            Ok(_) => Finding::fine(what),
            Err(failure) => Finding::wrong(what, failure.to_string()),
        });
        // Route 53 has no dry runs. To remove what is not there changes nothing, and whoever may not is told something else.
        let what = format!("permission `route53:ChangeResourceRecordSets` for `{}`", zone.name);
        let values = vec!["\"cerebro checks what it may\"".to_owned()];
        let (name, kind, ttl) = (group.mark_name(), "TXT", 60);
        let step = Step { act: Act::Delete, name, kind, ttl, values };
        findings.push(match inner.api.change(&id, &[step]).await {
            Err(failure) if failure.kind == Kind::Conflict => Finding::fine(what),
            Err(failure) => Finding::wrong(what, failure.to_string()),
            Ok(_) => Finding::wrong(what, "a record that nobody made was there, and is removed"),
        });
        findings
    }
}
