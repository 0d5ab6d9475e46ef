//! Asks a PostgreSQL server for a connection, as `pg_isready` does: it needs no password, since a
//! server that asks for one serves.

use cerebro_recipe::error;
use cerebro_recipe::host::health::{Report, Status};
use cerebro_recipe::host::net::TcpProbe;
use cerebro_recipe::host::types::Error;
use cerebro_recipe::report;
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
    /// The user to ask as.
    #[serde(default = "postgres")]
    user: String,
    /// The database to ask for.
    #[serde(default = "postgres")]
    database: String,
    /// Seconds for all of it.
    #[serde(default = "two")]
    timeout: f64,
}

fn postgres() -> String {
    "postgres".to_owned()
}

fn two() -> f64 {
    2.0
}

struct PostgresCheck;

cerebro_recipe::health_check!(PostgresCheck);

impl HealthCheck for PostgresCheck {
    type Options = Options;

    fn check(host: &impl Host, options: Options) -> Result<Report, String> {
        let instance = host.instance();
        let probe = TcpProbe {
            port: values::port(&instance, options.port.as_ref())?,
            host: options.host.unwrap_or_else(|| instance.address.clone()),
            timeout: options::millis("timeout", options.timeout)?,
            send: Some(startup(&options.user, &options.database)),
            // In the length of whatever message comes.
            expect: Some(vec![0, 0]),
        };
        let answer = match host.tcp(&probe) {
            Ok(answer) => answer,
            // The check itself is at fault, not the instance.
            Err(Error::Denied(text) | Error::Invalid(text)) => return Err(text),
            Err(error) => return Ok(report::report(Status::Critical, error::text(&error))),
        };
        let (status, words) = judge(&answer.received);
        let mut report = report::report(status, format!("{}:{}: {words}", probe.host, probe.port));
        report.metrics.push(report::metric("time", answer.took as f64 / 1e6, "s"));
        Ok(report)
    }
}

/// The message that begins a connection, of protocol 3.0.
fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = 0x0003_0000_u32.to_be_bytes().to_vec();
    for text in ["user", user, "database", database, ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
    message.append(&mut body);
    message
}

/// What the first message of a server means: `R` asks for a password or lets in, `E` is an error.
fn judge(answer: &[u8]) -> (Status, String) {
    match answer.first() {
        Some(b'R') => (Status::Passing, "takes connections".to_owned()),
        Some(b'E') => {
            let field = |kind| field(answer, kind).unwrap_or_default();
            let words = field(b'M');
            match field(b'C').as_str() {
                // It starts, stops or recovers.
                "57P03" => (Status::Critical, words),
                "53300" => (Status::Warning, words),
                // Who refuses this user or database serves others.
                _ => (Status::Passing, format!("takes connections, though not this one: {words}")),
            }
        }
        Some(_) => (Status::Critical, "what listens there is no PostgreSQL server".to_owned()),
        None => (Status::Critical, "no answer came".to_owned()),
    }
}

/// A field of an error: after the message's kind and length, each is a letter and a text that a 0
/// ends.
fn field(message: &[u8], kind: u8) -> Option<String> {
    let fields = message.get(5..)?.split(|byte| *byte == 0);
    let text = fields.into_iter().find_map(|field| field.strip_prefix(&[kind]))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_recipe::FakeHost;
    use cerebro_recipe::host::net::TcpAnswer;

    fn error(code: &str, words: &str) -> Vec<u8> {
        [b"E\0\0\0\x50SFATAL\0VFATAL\0C", code.as_bytes(), b"\0M", words.as_bytes(), b"\0\0"]
            .concat()
    }

    #[test]
    fn the_first_message_is_understood() {
        let password = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0".to_vec();
        for (answer, status, words) in [
            (password, Status::Passing, "takes connections"),
            (error("57P03", "the database system is starting up"), Status::Critical, "starting up"),
            (error("53300", "sorry, too many clients already"), Status::Warning, "too many"),
            (error("28000", "no pg_hba.conf entry"), Status::Passing, "no pg_hba.conf entry"),
            (b"HTTP/1.1 400".to_vec(), Status::Critical, "no PostgreSQL server"),
            (Vec::new(), Status::Critical, "no answer"),
        ] {
            let (is, said) = judge(&answer);
            assert!(is == status && said.contains(words), "{is:?} {said}");
        }
    }

    #[test]
    fn it_asks_as_the_protocol_says() {
        let host = FakeHost::new().with_port("db", 5432).with_tcp(|probe| {
            let send = probe.send.clone().unwrap_or_default();
            assert_eq!(send, b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0");
            assert_eq!((probe.host.as_str(), probe.port), ("10.0.0.5", 5432));
            let received = b"R\0\0\0\x08\0\0\0\0".to_vec();
            Ok(TcpAnswer { received, matched: true, took: 1500 })
        });
        let report = host.check::<PostgresCheck>().unwrap();
        assert_eq!(report.message, "10.0.0.5:5432: takes connections");
        assert_eq!(report.metrics[0].value, 0.0015);
        let refused = FakeHost::new().with_port("db", 5432).check::<PostgresCheck>().unwrap();
        assert_eq!(
            (refused.status, refused.message.as_str()),
            (Status::Critical, "connection refused")
        );
        assert!(FakeHost::new().check::<PostgresCheck>().is_err());
    }
}
