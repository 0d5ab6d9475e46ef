//! Why a command failed: a sentence, a hint, and an exit code.

use cerebro_api::ClientError;
use std::process::ExitCode;

/// Exit codes, beside 0, and 2 for a wrong command line.
pub const ERROR: u8 = 1;
pub const NOT_FOUND: u8 = 3;
pub const CONFLICT: u8 = 4;
/// A deployment failed, and no rollback followed.
pub const UNHEALTHY: u8 = 6;
/// A deployment failed, and all that it did was taken back.
pub const ROLLED_BACK: u8 = 7;
/// A deployment was taken back, but not all that it did.
pub const ROLLED_BACK_EXCEPT: u8 = 8;
/// A rollback failed, or nobody waited for its end.
pub const ROLLBACK_FAILED: u8 = 9;

/// Why a command failed.
#[derive(Debug)]
pub struct Fault {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Fault {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub fn print(self) -> ExitCode {
        anstream::eprintln!("error: {}", self.message);
        if let Some(hint) = self.hint {
            anstream::eprintln!("\nhint: {hint}");
        }
        ExitCode::from(self.code)
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        match error.status() {
            Some(404) => Self::new(NOT_FOUND, error.to_string()),
            Some(409 | 412) => Self::new(CONFLICT, error.to_string()),
            Some(_) => Self::new(ERROR, error.to_string()),
            None => Self::new(ERROR, error.to_string()).hint(
                "`cerebro dev` starts a cluster here; --server or CEREBRO_SERVER names another",
            ),
        }
    }
}
