//! Programs of a fake machine.

use super::{Answer, FakeHost};
use crate::host::command::{Guard, Spec};
use crate::host::types::{Change, Error};
use crate::{Host, Outcome};

impl FakeHost {
    pub(super) fn run_program(&self, spec: &Spec) -> Result<Outcome, Error> {
        if let Some(why) = self.guarded(spec)? {
            let (stdout, stderr) = (Vec::new(), Vec::new());
            let success = Ok(Change::Unchanged);
            let skipped = Some(why);
            return Ok(Outcome {
                skipped,
                exit_code: 0,
                stdout,
                stderr,
                truncated: false,
                success,
            });
        }
        let Answer { exit_code, stdout, stderr } = self.execute(spec)?;
        let is_success = match spec.success.as_slice() {
            [] => exit_code == 0,
            codes => codes.contains(&exit_code),
        };
        let success = match is_success {
            true => Ok(Change::Done),
            false => {
                let (program, said) = (&spec.argv[0], String::from_utf8_lossy(&stderr));
                let said = said.trim().lines().collect::<Vec<_>>().join(" | ");
                Err(Error::Failed(format!("`{program}` ended with code {exit_code}: {said}")))
            }
        };
        Ok(Outcome { skipped: None, exit_code, stdout, stderr, truncated: false, success })
    }

    /// Runs a program, whatever guards it has.
    fn execute(&self, spec: &Spec) -> Result<Answer, Error> {
        let Some(path) = spec.argv.first() else {
            return Err(Error::Invalid("a command needs a program".to_owned()));
        };
        let state = &mut *self.0.borrow_mut();
        let call = format!("run {}", spec.argv.join(" "));
        if let Some(error) = state.failures.get(&call) {
            return Err(error.clone());
        }
        let missing = || Error::NotFound(format!("this machine has no program `{path}`"));
        let program = state.programs.get(path).cloned().ok_or_else(missing)?;
        state.calls.push(call);
        let mut filled = spec.clone();
        filled.stdin = spec.stdin.as_ref().map(|stdin| state.fill(stdin));
        for (_, value) in &mut filled.env {
            *value = String::from_utf8_lossy(&state.fill(value.as_bytes())).into_owned();
        }
        Ok(program(&filled, &mut state.files))
    }

    /// Why a command need not run, if a guard holds.
    fn guarded(&self, spec: &Spec) -> Result<Option<String>, Error> {
        for guard in &spec.guards {
            let holds = match guard {
                Guard::Creates(path) => {
                    self.stat(path)?.is_some().then(|| format!("`{path}` exists"))
                }
                Guard::Unless(argv) => {
                    let question = Spec { argv: argv.clone(), stdin: None, ..spec.clone() };
                    let code = self.execute(&question)?.exit_code;
                    (code == 0).then(|| format!("`{}` ended with code 0", argv.join(" ")))
                }
                Guard::UnlessChanged(changes) => changes
                    .iter()
                    .all(|change| *change == Change::Unchanged)
                    .then(|| "nothing that it depends on has changed".to_owned()),
                Guard::Other(other) => {
                    return Err(Error::Invalid(format!("there is no guard `{other}`")));
                }
            };
            if holds.is_some() {
                return Ok(holds);
            }
        }
        Ok(None)
    }
}
