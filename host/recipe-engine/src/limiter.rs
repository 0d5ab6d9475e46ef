//! Bounds on what an instance may hold, remembering whether one was met.

use crate::call::Limits;
use wasmtime::ResourceLimiter;

/// Elements of one table: far more functions than a component has.
const TABLE_ELEMENTS: usize = 1_000_000;

/// Counts the memory of all of a component's core instances together.
pub(crate) struct Limiter {
    memory: usize,
    used: usize,
    instances: usize,
    tables: usize,
    /// Whether memory was refused.
    pub(crate) refused: bool,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: limits.memory,
            used: 0,
            instances: limits.instances,
            tables: limits.tables,
            refused: false,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.memory {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.instances
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_bound() {
        let mut limiter = Limiter::new(&Limits { memory: 100, ..Limits::default() });
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap() && limiter.refused);
        assert!(limiter.memory_growing(60, 100, None).unwrap());
    }
}
