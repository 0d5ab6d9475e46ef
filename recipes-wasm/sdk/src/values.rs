//! The values that templates and checks know by name, and ports.

use crate::host::context::Instance;
use crate::template::Values;
use serde::Deserialize;

/// The values of an instance: `job`, `instance`, `number`, `zone`, `machine`, `version`,
/// `previous_version`, `address`, `root`, `port` (the first one) and `port.<name>`.
pub fn of(instance: &Instance) -> Values {
    let plain = [
        ("job", instance.job.clone()),
        ("instance", instance.id.clone()),
        ("number", instance.number.to_string()),
        ("zone", instance.zone.clone()),
        ("machine", instance.machine.clone()),
        ("version", instance.version.clone()),
        ("previous_version", instance.previous_version.clone().unwrap_or_default()),
        ("address", instance.address.clone()),
        ("root", instance.root.clone()),
    ];
    let mut values: Values = plain.map(|(name, value)| (name.to_owned(), value)).into();
    if let Some(first) = instance.ports.first() {
        values.insert("port".to_owned(), first.number.to_string());
    }
    for port in &instance.ports {
        values.insert(format!("port.{}", port.name), port.number.to_string());
    }
    values
}

/// How options name a port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Port {
    /// By its number.
    Number(u16),
    /// By its name in the job.
    Name(String),
}

/// The number of a port of the instance; of its first one if none is named.
pub fn port(instance: &Instance, wanted: Option<&Port>) -> Result<u16, String> {
    let named = |name: &str| instance.ports.iter().find(|port| port.name == name);
    let found = match wanted {
        Some(Port::Number(number)) => return Ok(*number),
        Some(Port::Name(name)) => named(name).ok_or_else(|| {
            let names: Vec<_> = instance.ports.iter().map(|p| format!("`{}`", p.name)).collect();
            format!("the job has no port `{name}`; it has {}", list(&names))
        })?,
        None => {
            instance.ports.first().ok_or("the job has no `ports`, and the options no `port`")?
        }
    };
    Ok(found.number)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::context;

    fn instance() -> Instance {
        let port = |name: &str, number| context::Port { name: name.to_owned(), number };
        Instance {
            job: "a.b".to_owned(),
            id: "0.z.a.b".to_owned(),
            number: 0,
            zone: "z".to_owned(),
            machine: "m-1".to_owned(),
            version: "2".to_owned(),
            previous_version: None,
            address: "127.0.0.1".to_owned(),
            ports: vec![port("admin", 81), port("http", 80)],
            root: String::new(),
        }
    }

    #[test]
    fn ports_are_values_by_name() {
        let values = of(&instance());
        assert_eq!(values["port"], "81");
        assert_eq!(values["port.http"], "80");
        assert_eq!(values["previous_version"], "");
    }

    #[test]
    fn a_port_is_found_by_name_number_or_as_the_first() {
        let instance = instance();
        assert_eq!(port(&instance, Some(&Port::Name("http".to_owned()))), Ok(80));
        assert_eq!(port(&instance, Some(&Port::Number(9))), Ok(9));
        assert_eq!(port(&instance, None), Ok(81));
        let error = port(&instance, Some(&Port::Name("htpt".to_owned()))).unwrap_err();
        assert!(error.contains("`htpt`") && error.contains("`http`"), "{error}");
    }
}
