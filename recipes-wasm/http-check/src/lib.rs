//! Asks the instance for a page, and looks at its status and body.

mod expect;

use cerebro_recipe::error;
use cerebro_recipe::host::health::{Metric, Report, Status};
use cerebro_recipe::host::net::HttpProbe;
use cerebro_recipe::host::types::Error;
use cerebro_recipe::{HealthCheck, Host, options, values};
use expect::Options;

struct HttpCheck;

cerebro_recipe::health_check!(HttpCheck);

impl HealthCheck for HttpCheck {
    type Options = Options;

    fn check(host: &impl Host, options: Options) -> Result<Report, String> {
        let instance = host.instance();
        let port = values::port(&instance, options.port.as_ref())?;
        let path = host.render(&options.path)?;
        let body = options.expected_body.map(|body| host.render(&body)).transpose()?;
        let probe = HttpProbe {
            host: options.host.unwrap_or_else(|| instance.address.clone()),
            port,
            path,
            headers: options.headers.into_iter().collect(),
            timeout: options::millis("timeout", options.timeout)?,
            limit: 256 * 1024,
        };
        let asked = format!("http://{}:{}{}", probe.host, probe.port, probe.path);
        let answer = match host.http(&probe) {
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
        let verdict =
            expect::judge(&options.expected_status, body.as_deref(), answer.status, &answer.body);
        Ok(match verdict {
            Ok(()) => report(Status::Passing, &format!("{asked}: {}", answer.status), vec![time]),
            Err(why) => report(Status::Critical, &format!("{asked}: {why}"), vec![time]),
        })
    }
}

fn report(status: Status, message: &str, metrics: Vec<Metric>) -> Report {
    Report { status, message: message.to_owned(), metrics }
}
