//! What a component can ask for: one module per WIT interface.

mod archive;
pub(crate) mod artifact;
pub(crate) mod command;
mod context;
mod files;
mod log;
mod net;
mod users;
mod wasi;

use crate::bindings::interfaces as wit;
use crate::call::Call;
use crate::limiter::Limiter;
use crate::logbook::Logbook;
use crate::tree::Tree;
use cerebro_model::Grants;
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::WasiCtx;
use wit::types::Error;

/// All that belongs to one instance of a component.
pub(crate) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) limiter: Limiter,
    stderr: wasi::Tail,
    scope: Scope,
}

/// What a call may touch, and until when.
struct Scope {
    call: Call,
    tree: Arc<Tree>,
    log: Arc<Logbook>,
    http: reqwest::Client,
    deadline: Instant,
}

impl State {
    pub(crate) fn new(
        call: Call,
        tree: Tree,
        log: Arc<Logbook>,
        http: reqwest::Client,
        deadline: Instant,
    ) -> Self {
        let (wasi, stderr) = wasi::context(&log);
        Self {
            wasi,
            table: ResourceTable::new(),
            limiter: Limiter::new(&call.limits),
            stderr,
            scope: Scope { call, tree: Arc::new(tree), log, http, deadline },
        }
    }

    /// What the component wrote when it panicked, if it did.
    pub(crate) fn panic_message(&self) -> Option<String> {
        self.stderr.panic_message()
    }
}

impl Scope {
    /// Does something with files on a thread that may wait.
    async fn with_tree<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let tree = self.tree.clone();
        let done = tokio::task::spawn_blocking(move || work(&tree)).await;
        done.unwrap_or_else(|error| Err(Error::Failed(error.to_string())))
    }
}

/// The interfaces that a job's grants open. To grant is to link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    files: bool,
    change: bool,
    command: bool,
}

impl Capabilities {
    /// How many there are.
    pub(crate) const SETS: usize = 8;

    pub(crate) fn of(grants: &Grants) -> Self {
        let change = !grants.write.is_empty();
        Self {
            files: change || !grants.read.is_empty(),
            change,
            command: !grants.commands.is_empty(),
        }
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.files) | usize::from(self.change) << 1 | usize::from(self.command) << 2
    }

    pub(crate) fn linker(self, engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
        let mut linker = Linker::new(engine);
        let l = &mut linker;
        wasmtime_wasi::p2::add_to_linker_async(l)?;
        wit::types::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::health::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::context::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::log::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::artifact::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::net::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        if self.files {
            wit::files::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        }
        if self.change {
            wit::archive::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        }
        if self.command {
            wit::command::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        }
        Ok(linker)
    }
}

impl wit::types::Host for State {}
impl wit::health::Host for State {}
