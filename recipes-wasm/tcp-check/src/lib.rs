//! Connects to the instance; if asked to, sends a text and waits for another.

use cerebro_recipe::error;
use cerebro_recipe::host::health::{Metric, Report, Status};
use cerebro_recipe::host::net::TcpProbe;
use cerebro_recipe::host::types::Error;
use cerebro_recipe::values::{self, Port};
use cerebro_recipe::{HealthCheck, Host, options};

/// What a job may say.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The port, by name or number; the job's first one by default.
    port: Option<Port>,
    /// The host; the instance's own address by default.
    host: Option<String>,
    /// A text to send, in which `{{ name }}` stands for a value.
    send: Option<String>,
    /// A text that the answer must hold, in which `{{ name }}` stands for a value.
    expect: Option<String>,
    /// Seconds for all of it.
    #[serde(default = "two")]
    timeout: f64,
}

fn two() -> f64 {
    2.0
}

struct TcpCheck;

cerebro_recipe::health_check!(TcpCheck);

impl HealthCheck for TcpCheck {
    type Options = Options;

    fn check(host: &impl Host, options: Options) -> Result<Report, String> {
        let instance = host.instance();
        let text = |text: Option<String>| text.map(|text| host.render(&text)).transpose();
        let expect = text(options.expect)?;
        let probe = TcpProbe {
            port: values::port(&instance, options.port.as_ref())?,
            host: options.host.unwrap_or_else(|| instance.address.clone()),
            timeout: options::millis("timeout", options.timeout)?,
            send: text(options.send)?.map(String::into_bytes),
            expect: expect.clone().map(String::into_bytes),
        };
        let asked = format!("{}:{}", probe.host, probe.port);
        let answer = match host.tcp(&probe) {
            Ok(answer) => answer,
            // The check itself is at fault, not the instance.
            Err(Error::Denied(text) | Error::Invalid(text)) => return Err(text),
            Err(error) => return Ok(report(Status::Critical, error::text(&error), vec![])),
        };
        let time = Metric {
            name: "time".to_owned(),
            value: answer.took as f64 / 1e6,
            unit: "s".to_owned(),
        };
        Ok(match expect {
            Some(expect) if !answer.matched => {
                let got = String::from_utf8_lossy(&answer.received);
                let got: String = got.chars().take(80).collect();
                let why = format!("{asked}: expected `{}`, got `{}`", expect.trim(), got.trim());
                report(Status::Critical, &why, vec![time])
            }
            _ => report(Status::Passing, &format!("{asked}: as expected"), vec![time]),
        })
    }
}

fn report(status: Status, message: &str, metrics: Vec<Metric>) -> Report {
    Report { status, message: message.to_owned(), metrics }
}
