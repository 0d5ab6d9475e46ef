//! How zones and record sets are listed.

use super::{Key, NAMESPACE, Route53, Zone};
use crate::api::{ApiError, Done, Params};
use crate::xml::Xml;

impl Route53 {
    pub(super) fn list(&self, params: &Params) -> Result<Done, ApiError> {
        let (_, zone) = self.found(params)?;
        let invalid = |why: &str| ApiError::new(400, "InvalidInput", why);
        let (name, kind) = (params.get("name"), params.get("type"));
        if name.is_none() && kind.is_some() {
            return Err(invalid("A type needs a name"));
        }
        if kind.is_none() && params.get("identifier").is_some() {
            return Err(invalid("An identifier needs a name and a type"));
        }
        let start = name.map(|name| {
            let identifier = params.get("identifier").unwrap_or_default();
            Key::new(name, kind.unwrap_or_default(), identifier)
        });
        let asked = params.number("maxitems")?.unwrap_or(300);
        let length = usize::try_from(asked).unwrap_or_default().min(300).min(self.longest_page);
        let from =
            zone.sets().iter().filter(|(key, _)| start.as_ref().is_none_or(|start| *key >= start));
        let found: Vec<_> = from.take(length + 1).collect();
        let sets = found.iter().take(length).map(|(key, set)| {
            let values = set.values.iter().map(|value| Xml::new().text("Value", value));
            let identifier =
                (!key.set_identifier.is_empty()).then_some(key.set_identifier.as_str());
            let weight = set.weight.map(|weight| weight.to_string());
            Xml::new()
                .text("Name", &key.name())
                .text("Type", &key.kind)
                .some("SetIdentifier", identifier)
                .some("Weight", weight.as_deref())
                .text("TTL", &set.ttl.to_string())
                .items("ResourceRecords", "ResourceRecord", values)
        });
        let mut inner = Xml::new()
            .items("ResourceRecordSets", "ResourceRecordSet", sets)
            .text("IsTruncated", &(found.len() > length).to_string())
            .text("MaxItems", &length.to_string());
        if let Some((next, _)) = found.get(length) {
            let identifier =
                (!next.set_identifier.is_empty()).then_some(next.set_identifier.as_str());
            inner = inner
                .text("NextRecordName", &next.name())
                .text("NextRecordType", &next.kind)
                .some("NextRecordIdentifier", identifier);
        }
        Ok(Done::read(inner.document("ListResourceRecordSetsResponse", NAMESPACE)))
    }

    pub(super) fn list_zones(&self, params: &Params) -> Result<Done, ApiError> {
        let start = params.get("dnsname").map(|name| Key::new(name, "", ""));
        let asked = params.number("maxitems")?.unwrap_or(100);
        let length = usize::try_from(asked).unwrap_or_default().min(100).min(self.longest_page);
        let key = |zone: &Zone| Key::new(&zone.name, "", "");
        let mut all: Vec<_> = self.zones.iter().collect();
        all.sort_by_key(|(id, zone)| (key(zone), (*id).clone()));
        let after = |id: &str, zone: &Zone| {
            let Some(start) = &start else { return true };
            match params.get("hostedzoneid") {
                Some(from) if key(zone) == *start => id >= from,
                _ => key(zone) >= *start,
            }
        };
        let found: Vec<_> =
            all.into_iter().filter(|(id, zone)| after(id, zone)).take(length + 1).collect();
        let zones = found.iter().take(length).map(|(id, zone)| written(id, zone));
        let mut inner = Xml::new()
            .items("HostedZones", "HostedZone", zones)
            .text("IsTruncated", &(found.len() > length).to_string())
            .text("MaxItems", &length.to_string());
        if let Some((id, zone)) = found.get(length) {
            inner = inner.text("NextDNSName", &zone.name).text("NextHostedZoneId", id);
        }
        Ok(Done::read(inner.document("ListHostedZonesByNameResponse", NAMESPACE)))
    }

    pub(super) fn get_zone(&self, params: &Params) -> Result<Done, ApiError> {
        let (id, zone) = self.found(params)?;
        let inner = Xml::new().within("HostedZone", written(id, zone));
        Ok(Done::read(inner.document("GetHostedZoneResponse", NAMESPACE)))
    }
}

fn written(id: &str, zone: &Zone) -> Xml {
    let config = Xml::new().text("PrivateZone", &zone.is_private.to_string());
    Xml::new()
        .text("Id", &format!("/hostedzone/{id}"))
        .text("Name", &zone.name)
        .text("CallerReference", id)
        .within("Config", config)
        .text("ResourceRecordSetCount", &zone.sets().len().to_string())
}
