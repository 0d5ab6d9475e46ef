//! Route 53, as far as records are changed and listed.

mod batch;
mod check;
mod list;
mod read;
mod zone;

pub use zone::{Key, RecordSet, Zone};

use crate::api::{ApiError, Done, Params, Service};
use crate::xml::Xml;
use std::collections::BTreeMap;
use std::time::Duration;

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// The hosted zones of an account.
pub struct Route53 {
    zones: BTreeMap<String, Zone>,
    /// When each change was accepted.
    changes: BTreeMap<String, Duration>,
    /// How long until the name servers answer by a change.
    pub in_sync_after: Duration,
    /// Pages are not longer than this, whatever is asked for.
    pub longest_page: usize,
    chance: fastrand::Rng,
}

impl Route53 {
    /// An account without zones. All chance comes from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            zones: BTreeMap::new(),
            changes: BTreeMap::new(),
            in_sync_after: Duration::from_secs(30),
            longest_page: 300,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// Makes a hosted zone, with its SOA and NS; its id.
    pub fn put_zone(&mut self, name: &str, is_private: bool) -> String {
        let id = self.new_id("Z");
        self.zones.insert(id.clone(), Zone::new(name, is_private));
        id
    }

    /// A hosted zone.
    pub fn zone(&self, id: &str) -> Option<&Zone> {
        self.zones.get(id)
    }

    /// A hosted zone, to change it behind everybody's back.
    pub fn zone_mut(&mut self, id: &str) -> Option<&mut Zone> {
        self.zones.get_mut(id)
    }

    fn new_id(&mut self, prefix: &str) -> String {
        let letters = (0..19).map(|_| self.chance.alphanumeric().to_ascii_uppercase());
        prefix.chars().chain(letters).collect()
    }

    fn found(&self, params: &Params) -> Result<(&str, &Zone), ApiError> {
        let id = params.get("HostedZoneId").unwrap_or_default();
        let zone = self.zones.get_key_value(id);
        zone.map(|(id, zone)| (id.as_str(), zone)).ok_or_else(|| {
            let message = format!("No hosted zone found with ID: {id}");
            ApiError::new(404, "NoSuchHostedZone", message)
        })
    }

    fn get_change(&self, params: &Params, now: Duration) -> Result<Done, ApiError> {
        let id = params.get("Id").unwrap_or_default();
        let Some(at) = self.changes.get(id) else {
            let message = format!("Could not find resource with ID: {id}");
            return Err(ApiError::new(404, "NoSuchChange", message));
        };
        let inner = self.change_info(id, *at, now);
        Ok(Done::read(inner.document("GetChangeResponse", NAMESPACE)))
    }

    fn change_info(&self, id: &str, at: Duration, now: Duration) -> Xml {
        let is_in_sync = at + self.in_sync_after <= now;
        let inner = Xml::new()
            .text("Id", &format!("/change/{id}"))
            .text("Status", if is_in_sync { "INSYNC" } else { "PENDING" })
            .text("SubmittedAt", "2026-01-01T00:00:00.000Z");
        Xml::new().within("ChangeInfo", inner)
    }
}

impl Service for Route53 {
    fn signed_as(&self) -> &'static str {
        "route53"
    }

    /// There is one Route 53, and it is in Virginia.
    fn region(&self) -> String {
        "us-east-1".to_owned()
    }

    fn read(&self, request: &http::Request<String>) -> Result<(String, Params), ApiError> {
        read::request(request)
    }

    fn act(&mut self, action: &str, params: &Params, now: Duration) -> Result<Done, ApiError> {
        match action {
            "ChangeResourceRecordSets" => self.change(params, now),
            "ListResourceRecordSets" => self.list(params),
            "ListHostedZonesByName" => self.list_zones(params),
            "GetHostedZone" => self.get_zone(params),
            _ => self.get_change(params, now),
        }
    }

    fn error_body(&self, error: &ApiError, request_id: &str) -> String {
        let inner = Xml::new()
            .text("Type", "Sender")
            .text("Code", &error.code)
            .text("Message", &error.message);
        let all = Xml::new().within("Error", inner).text("RequestId", request_id);
        all.document("ErrorResponse", NAMESPACE)
    }

    fn throttle_class(&self, _: &str) -> &'static str {
        "all"
    }

    fn throttled(&self) -> ApiError {
        ApiError::route53_throttled()
    }

    fn forbidden(&self, action: &str) -> ApiError {
        let message = format!("User is not authorized to perform: route53:{action}");
        ApiError::new(403, "AccessDenied", message)
    }

    fn wrong_key(&self) -> ApiError {
        let message = "The security token included in the request is invalid.";
        ApiError::new(403, "InvalidClientTokenId", message)
    }

    fn out_of_time(&self, signed: &str) -> ApiError {
        let message = format!("Signature expired: {signed} is now earlier than the time allowed");
        ApiError::new(403, "SignatureDoesNotMatch", message)
    }

    fn tick(&mut self, now: Duration) {
        for zone in self.zones.values_mut() {
            zone.forget(now);
        }
    }
}
