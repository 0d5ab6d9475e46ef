//! Asks the instance for a page; see ../../SPEC.md.

wit_bindgen::generate!({ path: "../../wit", world: "http-check", generate_all });

use cerebro::recipe::context;
use cerebro::recipe::health::{Metric, Status};
use cerebro::recipe::net::{self, HttpProbe};
use cerebro::recipe::types::Error;
use serde_json::Value;

struct HttpCheck;
export!(HttpCheck);

impl Guest for HttpCheck {
    fn check() -> Result<Report, String> {
        let options: Value =
            serde_json::from_str(&context::options()).map_err(|error| error.to_string())?;
        let path = match options.get("path") {
            None => "/".to_owned(),
            Some(Value::String(path)) => path.clone(),
            Some(_) => return Err("the option path is not a text".to_owned()),
        };
        let wanted = number(&options, "status", 200)?;
        let timeout = number(&options, "timeout", 1000)?;
        let instance = context::get();
        let port = instance.ports.iter().find(|port| port.name == "http");
        let port = port.ok_or("the job has no port http")?.number;

        let probe = HttpProbe {
            host: instance.address,
            port,
            path: path.clone(),
            headers: Vec::new(),
            timeout,
            limit: 1024,
        };
        let answer = match net::http(&probe) {
            Ok(answer) => answer,
            // The check itself is at fault, not the instance.
            Err(Error::Denied(text) | Error::Invalid(text)) => return Err(text),
            Err(
                Error::NotFound(text)
                | Error::TimedOut(text)
                | Error::TooLarge(text)
                | Error::Unsupported(text)
                | Error::Failed(text)
                | Error::Other(text),
            ) => return Ok(Report { status: Status::Critical, message: text, metrics: vec![] }),
        };
        let metric = Metric {
            name: "response_time".to_owned(),
            value: answer.took as f64 / 1e6,
            unit: "s".to_owned(),
        };
        let (status, message) = match answer.status {
            status if u32::from(status) == wanted => (Status::Passing, format!("{path}: {status}")),
            status => (Status::Critical, format!("{path}: {status}, expected {wanted}")),
        };
        Ok(Report { status, message, metrics: vec![metric] })
    }
}

fn number(options: &Value, name: &str, default: u32) -> Result<u32, String> {
    let Some(value) = options.get(name) else { return Ok(default) };
    let is_whole = |number: &f64| number.fract() == 0.0 && (0.0..=u32::MAX.into()).contains(number);
    let number = value.as_f64().filter(is_whole).map(|number| number as u32);
    number.ok_or_else(|| format!("the option {name} is not a whole number"))
}
