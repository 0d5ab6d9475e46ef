//! Bounds on what an instance may hold, remembering whether one was met.

use crate::call::Limits;
use wasmtime::ResourceLimiter;

/// Elements of one table: far more functions than a component has.
const TABLE_ELEMENTS: usize = 1_000_000;

/// Counts the memory and tables of all of a component's core instances together.
pub(crate) struct Limiter {
    memory: usize,
    used: usize,
    instances: usize,
    tables: usize,
    /// Bytes of commands' output that the component has not given back.
    outputs: usize,
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
            outputs: 0,
            refused: false,
        }
    }
}

/// Bytes of commands' output that the host keeps for a component.
pub(crate) const MOST_OUTPUTS: usize = 64 << 20;
/// Bytes of an element of a table.
const ELEMENT: usize = size_of::<usize>();

impl Limiter {
    /// Whether so much more of commands' output may be kept.
    pub(crate) fn keep_output(&mut self, bytes: usize) -> bool {
        let outputs = self.outputs.saturating_add(bytes);
        let fits = outputs <= MOST_OUTPUTS;
        if fits {
            self.outputs = outputs;
        }
        fits
    }

    /// So much of it was given back.
    pub(crate) fn drop_output(&mut self, bytes: usize) {
        self.outputs = self.outputs.saturating_sub(bytes);
    }

    fn grow(&mut self, bytes: usize) -> bool {
        let used = self.used.saturating_add(bytes);
        let fits = used <= self.memory;
        self.refused |= !fits;
        if fits {
            self.used = used;
        }
        fits
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // What tables hold is memory too.
        let more = desired.saturating_sub(current).saturating_mul(ELEMENT);
        Ok(desired <= TABLE_ELEMENTS && self.grow(more))
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
        assert!(limiter.memory_growing(60, 84, None).unwrap());
        assert!(limiter.table_growing(0, 2, None).unwrap());
        assert!(!limiter.table_growing(2, 3, None).unwrap());
    }

    #[test]
    fn output_that_is_given_back_makes_room() {
        let mut limiter = Limiter::new(&Limits::default());
        assert!(limiter.keep_output(MOST_OUTPUTS) && !limiter.keep_output(1));
        limiter.drop_output(1);
        assert!(limiter.keep_output(1));
    }
}
