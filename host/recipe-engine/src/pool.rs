//! Where instances live: a pool of slots that are reset rather than made anew, where the machine has
//! room for its address space.
//!
//! Figures: a fresh instance of a Rust check, called and dropped, takes 12.6 µs with all three of
//! the settings that keep pages resident, 32 with a pool that has none, and 65 without a pool
//! (wasmtime 48, one pinned core).

use crate::call::Limits;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

/// Places for recipes; who finds none waits for its turn.
pub(crate) const RECIPES: usize = 64;
/// Places for checks. They are no recipe's, however large it is.
pub(crate) const CHECKS: usize = 192;
/// All places. Each has room for one memory, and so an instance needs one at least.
const PLACES: u32 = (RECIPES + CHECKS) as u32;
/// Tables in each place.
const TABLES: u32 = 4;
/// Slots that stay warm for the next instance; each may hold [`KEPT_MEMORY`].
const WARM: u32 = 16;
/// Bytes of an instance's memory that are reset in place rather than given back.
const KEPT_MEMORY: usize = 2 << 20;
/// Bytes of a table that are.
const KEPT_TABLE: usize = 16 << 10;
/// Core instances in one component: a Python runtime has about 40.
const CORE_INSTANCES: u32 = 100;
/// Memories in one component.
const MEMORIES: u32 = 16;
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
    pool.total_component_instances(PLACES)
        // Counted and no more: what they hold is in the places.
        .total_core_instances(PLACES * CORE_INSTANCES)
        .total_memories(PLACES)
        .total_tables(PLACES * TABLES)
        .total_stacks(PLACES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
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

/// The places that an instance of a component takes.
pub(crate) fn places(component: &wasmtime::component::Component) -> u32 {
    // None of ours imports modules, which alone would leave it open.
    let Some(needs) = component.resources_required() else { return MEMORIES };
    // More than there are would wait for ever, and is refused when it is made.
    needs.num_memories.max(needs.num_tables.div_ceil(TABLES)).clamp(1, RECIPES as u32)
}
