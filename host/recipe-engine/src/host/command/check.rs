//! Whether a command may be run as it is asked for.

use super::super::Scope;
use crate::bindings::interfaces::command::Semantics;
use crate::bindings::interfaces::types::Error;

/// Refuses what contradicts itself.
pub(super) fn check(semantics: &Semantics) -> Result<(), Error> {
    if semantics.query && !semantics.contain.is_empty() {
        let why = "a query writes nothing, so that there is nothing to contain: leave out `query` \
                   or `contain`";
        return Err(Error::Invalid(why.to_owned()));
    }
    Ok(())
}

impl Scope {
    /// Whether a command may be run: a program by its absolute path, and its arguments.
    pub(in super::super) fn may_run(
        &self,
        argv: &[String],
        user: Option<&str>,
    ) -> Result<(), Error> {
        let Some(program) = argv.first().map(String::as_str) else {
            return Err(Error::Invalid("a command needs a program".to_owned()));
        };
        let plain = program.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        if !program.starts_with('/') || !plain || argv.iter().any(|arg| arg.contains('\0')) {
            return Err(Error::Invalid(format!(
                "`{program}` is not a command: expected a plain absolute path and arguments"
            )));
        }
        self.allowed(|grants| grants.run(argv, user))?;
        let named = argv.iter().flat_map(|word| self.secrets.told_in(word)).next();
        match named {
            Some(name) => Err(Error::Denied(format!(
                "`{program}` would have the secret `{name}` on its command line, where whoever is on \
                 the machine reads it: give it in `env` or `stdin`, by its placeholder"
            ))),
            None => Ok(()),
        }
    }
}
