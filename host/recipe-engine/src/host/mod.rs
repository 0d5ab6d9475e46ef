//! What a component can ask for: one module per WIT interface.

mod accounts;
mod addresses;
mod archive;
pub(crate) mod artifact;
mod asked;
pub(crate) mod command;
mod context;
mod deterministic;
mod download;
pub(crate) mod effect;
mod facts;
mod files;
mod kv;
mod log;
mod net;
mod notify;
mod packages;
mod release;
pub(crate) mod secret;
mod services;
mod sockets;
mod task;
mod tools;
mod users;
mod wasi;
mod web;

use crate::bindings::interfaces as wit;
use crate::call::Call;
use crate::journal::Ledger;
use crate::limiter::Limiter;
use crate::logbook::Logbook;
use crate::secrets::Secrets;
use crate::tape::Tape;
use crate::tree::{Changing, Tree};
use cerebro_model::Later;
use cerebro_model::{Allowed, Denied, Grants};
use effect::Effect;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::time::Instant;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wit::types::Error;

/// Resources that a component may hold at a time.
const MOST_RESOURCES: usize = 10_000;

/// All that belongs to one instance of a component.
pub(crate) struct State {
    wasi: Option<Box<wasi::Wasi>>,
    table: ResourceTable,
    pub(crate) limiter: Limiter,
    web: web::Web,
    scope: Arc<Scope>,
}

/// What a call may touch, and until when.
pub(crate) struct Scope {
    call: Arc<Call>,
    allowed: Allowed,
    tree: Arc<Tree>,
    log: Arc<Logbook>,
    secrets: Arc<Secrets>,
    http: reqwest::Client,
    ledger: Arc<Ledger>,
    tape: Tape,
    /// What random numbers come from, if it must be known.
    seed: Option<[u8; 32]>,
    /// What a plan takes for what is kept from call to call.
    planned: Mutex<Remembered>,
    /// Names that were looked up, and what they were.
    names: Mutex<HashMap<String, Vec<IpAddr>>>,
    deadline: Instant,
}

/// What is kept from call to call, as a plan has it: values by key, and what is to be done at the end.
#[derive(Default)]
struct Remembered {
    values: BTreeMap<String, Option<Vec<u8>>>,
    at_end: Vec<Later>,
}

/// What a scope is made of.
pub(crate) struct Parts {
    pub(crate) call: Arc<Call>,
    pub(crate) allowed: Allowed,
    pub(crate) changing: Arc<Changing>,
    pub(crate) log: Arc<Logbook>,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) http: reqwest::Client,
    pub(crate) ledger: Ledger,
    pub(crate) tape: Tape,
    pub(crate) seed: Option<[u8; 32]>,
    pub(crate) deadline: Instant,
}

impl Scope {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { call, allowed, changing, log, secrets, http, ledger, tape, seed, deadline } =
            parts;
        let ledger = Arc::new(ledger);
        let tree = Tree::new(&call.root, allowed.clone(), changing, ledger.clone());
        let (tree, names, planned) = (Arc::new(tree), Mutex::default(), Mutex::default());
        Self {
            call,
            allowed,
            tree,
            log,
            secrets,
            http,
            ledger,
            tape,
            seed,
            planned,
            names,
            deadline,
        }
    }

    /// Where its effects are told.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where it logs.
    pub(crate) fn log(&self) -> &Logbook {
        &self.log
    }

    /// Where its answers come from.
    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }
}

impl State {
    pub(crate) fn new(scope: Scope) -> Self {
        let limiter = Limiter::new(&scope.call.limits);
        let scope = Arc::new(scope);
        let web = web::Web::new(scope.clone());
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        Self { wasi: None, table, limiter, web, scope }
    }

    /// What the call may touch.
    pub(crate) fn scope(&self) -> Arc<Scope> {
        self.scope.clone()
    }

    /// What the component wrote when it panicked, if it did.
    pub(crate) fn panic_message(&self) -> Option<String> {
        self.wasi.as_ref()?.panic_message()
    }
}

impl Scope {
    /// Whether the job grants something, and the component has declared that it wants it.
    fn allowed(&self, check: impl Fn(&Grants) -> Result<(), Denied>) -> Result<(), Error> {
        self.allowed.check(check).map_err(|denied| Error::Denied(denied.to_string()))
    }

    /// Does something with files on a thread that may wait.
    pub(crate) async fn with_tree<T: Send + 'static>(
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
    secret: bool,
}

impl Capabilities {
    /// How many there are.
    pub(crate) const SETS: usize = 16;

    pub(crate) fn of(grants: &Grants) -> Self {
        let change = !grants.write.is_empty();
        Self {
            files: change || !grants.read.is_empty(),
            change,
            command: !grants.commands.is_empty(),
            secret: !grants.secrets.is_empty(),
        }
    }

    pub(crate) fn index(self) -> usize {
        let flags = [self.files, self.change, self.command, self.secret];
        flags.into_iter().rev().fold(0, |index, flag| index << 1 | usize::from(flag))
    }

    pub(crate) fn linker(self, engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
        let mut linker = Linker::new(engine);
        let l = &mut linker;
        wasmtime_wasi::p2::add_to_linker_async(l)?;
        sockets::count(l)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)?;
        wit::types::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::health::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::context::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::log::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::artifact::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::net::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::packages::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::services::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::users::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::facts::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::task::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::notify::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        wit::kv::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        if self.files {
            wit::files::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        }
        if self.change {
            wit::archive::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
            wit::release::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        }
        if self.command {
            wit::command::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        }
        if self.secret {
            wit::secret::add_to_linker::<_, HasSelf<State>>(l, |state| state)?;
        }
        Ok(linker)
    }
}

impl wit::health::Host for State {}

/// What an error says.
pub(crate) fn words(error: &Error) -> &str {
    match error {
        Error::Denied(why)
        | Error::NotFound(why)
        | Error::Invalid(why)
        | Error::TimedOut(why)
        | Error::TooLarge(why)
        | Error::Unsupported(why)
        | Error::Failed(why)
        | Error::Other(why) => why,
    }
}
