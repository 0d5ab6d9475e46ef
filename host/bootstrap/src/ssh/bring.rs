//! The agent's programs onto a machine: fetched by itself, or sent.

use super::connect::Connection;
use super::error::SshError;
use super::facts::Facts;
use super::report::{Outcome, Report, Step};
use super::run::{Input, Ran, Shell, open};
use crate::files::{BIN, GET};
use crate::quote::shell;
use crate::setup::{Program, Source};
use std::time::Duration;

/// How long a program may take to get there.
const ARRIVES_WITHIN: Duration = Duration::from_secs(900);
/// How often a program is asked for: once more, for the controller may just be starting.
const TRIES: u32 = 2;

/// Brings a program there, if it is not.
pub(super) async fn bring(
    connection: &Connection,
    facts: &Facts,
    program: &Program,
    report: &mut Report<'_>,
) -> Result<(), SshError> {
    let Program { name, digest, size, source, .. } = program;
    let host = connection.host.clone();
    if facts.programs.get(name.as_str()) == Some(digest) {
        let what = format!("have {name}");
        report.begins(&what);
        report.done(Step {
            what,
            command: String::new(),
            outcome: Outcome::Unchanged,
            code: None,
            output: String::new(),
            took: Duration::ZERO,
        });
        return Ok(());
    }
    let no_room = || SshError::NoRoom {
        host: host.clone(),
        path: BIN.to_owned(),
        free_mb: facts.free_for_programs >> 20,
        needed_mb: size.div_ceil(1 << 20),
    };
    match source {
        Source::Url(url) => {
            let what = format!("fetch {name} from {url}");
            let get = format!("get {name} {} {digest} {TRIES}\n", shell(url));
            let script = format!("set -eu\nmkdir -p {BIN}\ncd {BIN}\n{GET}{get}");
            let running = connection.script(&script, &what, ARRIVES_WITHIN);
            let ran = connection.make_so(&what, &get, running, report).await?;
            match ran.is_ok() {
                true => Ok(()),
                false if is_for_want_of_room(&ran) => Err(no_room()),
                false => Err(SshError::Download {
                    host,
                    program: name.clone(),
                    url: url.clone(),
                    said: first_complaint(&ran),
                }),
            }
        }
        Source::File(file) => {
            let what = format!("send {name}");
            let to = format!("{BIN}/{name}");
            let script = format!(
                "mkdir -p {BIN} && cat >{to}.new && [ \"$(sha256sum <{to}.new | cut -c1-64)\" = {digest} ] && chmod 755 \
                 {to}.new && mv {to}.new {to} || {{ rm -f {to}.new; echo 'it did not arrive as it was sent' >&2; exit \
                 1; }}"
            );
            let input = Input::File(open(file).await?);
            let command = connection.root(Shell::Script(&script));
            let running = connection.run_plainly(&command, input, &what, ARRIVES_WITHIN);
            let ran = connection.make_so(&what, &script, running, report).await?;
            match ran.is_ok() {
                true => Ok(()),
                false if is_for_want_of_room(&ran) => Err(no_room()),
                false => Err(SshError::Upload {
                    host,
                    program: name.clone(),
                    said: first_complaint(&ran),
                }),
            }
        }
    }
}

fn is_for_want_of_room(ran: &Ran) -> bool {
    // `curl` does not say why it could not write.
    ran.is_for_want_of_room() || ran.all.contains("curl: (23)")
}

/// What was said first of why: what follows from it comes behind.
fn first_complaint(ran: &Ran) -> String {
    let first = ran.all.lines().find(|line| !line.trim().is_empty());
    first.map_or_else(|| ran.last_line(), |line| line.trim().to_owned())
}
