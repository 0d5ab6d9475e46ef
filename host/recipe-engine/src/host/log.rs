//! `cerebro:recipe/log`.

use super::State;
use crate::bindings::interfaces::log::{Host, Level};
use crate::logbook::LogLevel;

impl Host for State {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        self.scope.log.write(level, &message);
        Ok(())
    }

    async fn progress(
        &mut self,
        step: String,
        done: u64,
        total: Option<u64>,
    ) -> wasmtime::Result<()> {
        let message = match total {
            Some(total) => format!("{step}: {done} of {total}"),
            None => format!("{step}: {done}"),
        };
        self.scope.log.write(LogLevel::Debug, &message);
        Ok(())
    }
}
