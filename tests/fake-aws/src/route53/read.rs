//! What a request asks for.

use crate::api::{ApiError, Params};
use http::Method;
use std::collections::BTreeMap;

/// The action, and its parameters. A batch becomes `Change.1.Action`, `Change.1.Name`, `Change.1.Value.1` and so on.
pub(super) fn request(request: &http::Request<String>) -> Result<(String, Params), ApiError> {
    let unknown = || {
        let message = format!("Unable to find path {} {}", request.method(), request.uri().path());
        ApiError::new(404, "UnknownOperationException", message)
    };
    let path = request.uri().path().trim_end_matches('/');
    let path = path.strip_prefix("/2013-04-01/").ok_or_else(unknown)?;
    let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let mut params: BTreeMap<String, String> = query.into_owned().collect();
    let parts: Vec<&str> = path.split('/').collect();
    let action = match (request.method(), &parts[..]) {
        (&Method::POST, ["hostedzone", id, "rrset"]) => {
            params.insert("HostedZoneId".to_owned(), (*id).to_owned());
            batch(request.body(), &mut params)?;
            "ChangeResourceRecordSets"
        }
        (&Method::GET, ["hostedzone", id, "rrset"]) => {
            params.insert("HostedZoneId".to_owned(), (*id).to_owned());
            "ListResourceRecordSets"
        }
        (&Method::GET, ["hostedzone", id]) => {
            params.insert("HostedZoneId".to_owned(), (*id).to_owned());
            "GetHostedZone"
        }
        (&Method::GET, ["hostedzonesbyname"]) => "ListHostedZonesByName",
        (&Method::GET, ["change", id]) => {
            params.insert("Id".to_owned(), (*id).to_owned());
            "GetChange"
        }
        _ => return Err(unknown()),
    };
    Ok((action.to_owned(), Params(params)))
}

fn batch(body: &str, params: &mut BTreeMap<String, String>) -> Result<(), ApiError> {
    let malformed = |why: String| ApiError::new(400, "MalformedInput", why);
    let document =
        roxmltree::Document::parse(body).map_err(|error| malformed(error.to_string()))?;
    let root = document.root_element();
    if root.tag_name().name() != "ChangeResourceRecordSetsRequest" {
        return Err(malformed("Expected ChangeResourceRecordSetsRequest".to_owned()));
    }
    if root.tag_name().namespace() != Some(super::NAMESPACE) {
        return Err(malformed("The request has another namespace".to_owned()));
    }
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let mut children = node.children();
        let child = children.find(|it| it.tag_name().name() == name);
        child.map(|it| it.text().unwrap_or_default().to_owned())
    };
    let changes = root.descendants().filter(|it| it.tag_name().name() == "Change");
    for (n, change) in changes.enumerate() {
        let prefix = format!("Change.{}", n + 1);
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                params.insert(format!("{prefix}.{name}"), value);
            }
        };
        put("Action", text(change, "Action"));
        let set = change.children().find(|it| it.tag_name().name() == "ResourceRecordSet");
        let set = set.ok_or_else(|| malformed("A change without a set".to_owned()))?;
        for name in ["Name", "Type", "TTL", "SetIdentifier", "Weight"] {
            put(name, text(set, name));
        }
        if set.children().any(|it| it.tag_name().name() == "AliasTarget") {
            return Err(ApiError::new(400, "InvalidInput", "Aliases are not known here"));
        }
        let values = set.descendants().filter(|it| it.tag_name().name() == "Value");
        for (m, value) in values.enumerate() {
            let value = value.text().unwrap_or_default().to_owned();
            put(&format!("Value.{}", m + 1), Some(value));
        }
    }
    Ok(())
}
