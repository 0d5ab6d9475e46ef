//! Where instances live: a pool of slots that are reset rather than made anew, where the machine has
//! room for its address space.
//!
//! Figures: a fresh instance of a Rust check, called and dropped, takes 12.6 µs with all three of
//! the settings that keep pages resident, 32 with a pool that has none, and 65 without a pool
//! (wasmtime 48, one pinned core).

use crate::call::Limits;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

/// Calls of recipes at a time; more wait for their turn.
pub(crate) const RECIPES: usize = 64;
/// Calls of checks at a time.
pub(crate) const CHECKS: usize = 192;
/// Instances at a time.
const INSTANCES: u32 = (RECIPES + CHECKS) as u32;
/// Slots that stay warm for the next instance; each may hold [`KEPT_MEMORY`].
const WARM: u32 = 16;
/// Bytes of an instance's memory that are reset in place rather than given back.
const KEPT_MEMORY: usize = 2 << 20;
/// Bytes of a table that are.
const KEPT_TABLE: usize = 16 << 10;
/// Core instances in one component: a Python runtime has about 40.
const CORE_INSTANCES: u32 = 100;
/// Elements of a table: functions that are called by pointer.
const TABLE_ELEMENTS: usize = 200_000;

/// What all engines of ours have in common.
fn base() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true).cranelift_opt_level(OptLevel::Speed);
    config
}

fn pooled() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let has_scan = PoolingAllocationConfig::is_pagemap_scan_available();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 10)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 4)
        .total_stacks(INSTANCES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(16)
        .max_tables_per_component(CORE_INSTANCES)
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(16 << 20)
        .max_memory_size(Limits::default().memory)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM)
        .pagemap_scan(if has_scan { Enabled::Yes } else { Enabled::No });
    if has_scan {
        // Without the scan all of it would be written over, used or not.
        pool.linear_memory_keep_resident(KEPT_MEMORY).table_keep_resident(KEPT_TABLE);
    }
    let mut config = base();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// An engine, with a pool if the machine can have one.
pub(crate) fn engine() -> wasmtime::Result<wasmtime::Engine> {
    match wasmtime::Engine::new(&pooled()) {
        Ok(engine) => Ok(engine),
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "no room for a pool of instances: each is made anew, which takes longer"
            );
            wasmtime::Engine::new(&base())
        }
    }
}
