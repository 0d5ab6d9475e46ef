//! The health check {{ name }}.

wit_bindgen::generate!({ path: "wit", world: "health-check", generate_all });

use cerebro::recipe::context;
use cerebro::recipe::health::{Metric, Status};
use cerebro::recipe::net::{self, HttpProbe};
use cerebro::recipe::types::Error;

struct Check;
export!(Check);

impl Guest for Check {
    fn check() -> Result<Report, String> {
        let instance = context::get();
        let port = instance.ports.first().ok_or("the job has no port")?.number;
        let probe = HttpProbe {
            host: instance.address,
            port,
            path: "/".to_owned(),
            headers: Vec::new(),
            timeout: 1000,
            limit: 1024,
        };
        Ok(match net::http(&probe) {
            Ok(answer) => {
                let is_good = (200..400).contains(&answer.status);
                let seconds = answer.took as f64 / 1e6;
                Report {
                    status: if is_good { Status::Passing } else { Status::Critical },
                    message: format!("status {}", answer.status),
                    metrics: vec![Metric {
                        name: "response_time".to_owned(),
                        value: seconds,
                        unit: "s".to_owned(),
                    }],
                }
            }
            Err(error) => Report {
                status: Status::Critical,
                message: words(&error).to_owned(),
                metrics: Vec::new(),
            },
        })
    }
}

/// The host's words: each case of its errors has them.
fn words(error: &Error) -> &str {
    match error {
        Error::Denied(text)
        | Error::NotFound(text)
        | Error::Invalid(text)
        | Error::TimedOut(text)
        | Error::TooLarge(text)
        | Error::Unsupported(text)
        | Error::Failed(text)
        | Error::Other(text) => text,
    }
}
