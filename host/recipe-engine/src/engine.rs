//! The engine of this process, and the components that it has compiled.

use crate::bindings::health_check::HealthCheckPre;
use crate::bindings::recipe::RecipePre;
use crate::cache::Cache;
use crate::compiler::Compiler;
use crate::epoch::Epoch;
use crate::error::{CompileError, EngineError, Failure};
use crate::host::{Capabilities, State};
use crate::http::{self, Tls};
use crate::pool::{self, CHECKS, RECIPES};
use crate::tree::Changing;
use cerebro_model::{ComponentKind, Digest, Grants};
use cerebro_recipe_inspect::{Inspection, check_grants, inspect};
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{OnceCell, Semaphore};
use wasmtime::component::Linker;

/// Components that are compiled at a time; each takes the cores that there are.
const COMPILED_AT_A_TIME: usize = 2;
/// Components kept in memory before those that nobody uses are let go.
const KEPT: usize = 64;

/// Compiles and runs components. One per process: it is cheap to clone and shares everything.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    wasmtime: wasmtime::Engine,
    pub(crate) epoch: Epoch,
    /// Recipes and checks have places of their own, so that neither waits for the other.
    pub(crate) recipes: Semaphore,
    pub(crate) checks: Semaphore,
    compiler: Compiler,
    compiling: Semaphore,
    cache: Cache,
    compiled: Mutex<HashMap<Digest, Arc<OnceCell<Component>>>>,
    linkers: [OnceLock<Linker<State>>; Capabilities::SETS],
    pub(crate) http: reqwest::Client,
    /// Of all calls: instances may share files.
    pub(crate) changing: Arc<Changing>,
}

/// A compiled component. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    inner: Arc<Compiled>,
}

struct Compiled {
    digest: Digest,
    inspection: Inspection,
    component: wasmtime::component::Component,
    /// What it takes of the pool.
    places: u32,
    linked: [OnceLock<Linked>; Capabilities::SETS],
}

impl Component {
    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// What it is for.
    pub fn kind(&self) -> ComponentKind {
        self.inner.inspection.kind
    }

    /// The places that an instance of it takes.
    pub(crate) fn places(&self) -> u32 {
        self.inner.places
    }

    /// What it says of itself.
    pub fn inspection(&self) -> &Inspection {
        &self.inner.inspection
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Component").field(&self.inner.digest).finish()
    }
}

impl Engine {
    /// An engine that keeps compiled components in `cache_dir`, which it makes for its user alone.
    pub fn new(cache_dir: PathBuf, compiler: Compiler) -> Result<Self, EngineError> {
        let unsupported = |error: String| EngineError::Unsupported(error);
        let wasmtime = pool::engine().map_err(|error| unsupported(format!("{error:#}")))?;
        let mut hasher = DefaultHasher::new();
        wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        let cache = Cache::open(cache_dir, format!("{:016x}", hasher.finish()))?;
        let http =
            http::client(Tls::Never, None).map_err(|error| unsupported(error.to_string()))?;
        let epoch = Epoch::start(&wasmtime).map_err(|error| unsupported(error.to_string()))?;
        let inner = Inner {
            wasmtime,
            epoch,
            recipes: Semaphore::new(RECIPES),
            checks: Semaphore::new(CHECKS),
            compiler,
            compiling: Semaphore::new(COMPILED_AT_A_TIME),
            cache,
            compiled: Mutex::default(),
            linkers: Default::default(),
            http,
            changing: Arc::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Compiles `bytes`, or finds them compiled. Each digest is compiled once, however many ask.
    pub async fn compile(&self, digest: Digest, bytes: Vec<u8>) -> Result<Component, CompileError> {
        self.cell(digest).get_or_try_init(|| self.compile_anew(digest, bytes)).await.cloned()
    }

    /// The component with this digest, if this process has compiled it: spares reading its bytes.
    pub fn compiled(&self, digest: Digest) -> Option<Component> {
        let compiled = self.inner.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.get(&digest)?.get().cloned()
    }

    fn cell(&self, digest: Digest) -> Arc<OnceCell<Component>> {
        let mut compiled = self.inner.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.len() >= KEPT {
            let in_use = |c: &Component| Arc::strong_count(&c.inner) > 1;
            compiled
                .retain(|_, cell| Arc::strong_count(cell) > 1 || cell.get().is_some_and(in_use));
        }
        compiled.entry(digest).or_default().clone()
    }

    async fn compile_anew(
        &self,
        digest: Digest,
        bytes: Vec<u8>,
    ) -> Result<Component, CompileError> {
        let engine = self.clone();
        let refused = move |message| CompileError::Refused { digest, message };
        let (inspection, loaded, bytes) = aside(refused, move || {
            let found = Digest::of(&bytes);
            if found != digest {
                return Err(CompileError::WrongDigest { expected: digest, found });
            }
            Ok((inspect(&bytes)?, engine.load(digest), bytes))
        })
        .await?;
        let component = match loaded {
            Some(component) => component,
            None => {
                // It is never closed.
                let _turn = self.inner.compiling.acquire().await;
                let compiled = self.inner.compiler.compile(&self.inner.wasmtime, bytes).await;
                let (compiled, engine) = (compiled.map_err(refused)?, self.clone());
                aside(refused, move || {
                    if let Err(error) = engine.inner.cache.store(digest, &compiled) {
                        // The next start of the process compiles again; nothing else is lost.
                        tracing::warn!(%digest, %error, "keep a compiled component");
                    }
                    engine.deserialize(&compiled).map_err(|error| refused(format!("{error:#}")))
                })
                .await?
            }
        };
        let (places, linked) = (pool::places(&component), Default::default());
        let compiled = Compiled { digest, inspection, component, places, linked };
        Ok(Component { inner: Arc::new(compiled) })
    }

    fn load(&self, digest: Digest) -> Option<wasmtime::component::Component> {
        let compiled = self.inner.cache.load(digest)?;
        self.deserialize(&compiled)
            .inspect_err(|error| tracing::warn!(%digest, %error, "load a compiled component"))
            .ok()
    }

    fn deserialize(&self, compiled: &[u8]) -> wasmtime::Result<wasmtime::component::Component> {
        // SAFETY: the bytes are what our compiler has made, now or before: the cache's directory is
        // closed to other users, and it has checked their digest. They are in memory, so nobody
        // changes them.
        unsafe { wasmtime::component::Component::deserialize(&self.inner.wasmtime, compiled) }
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    /// `component`, linked to what `grants` open; each such pair is linked once.
    pub(crate) fn link(&self, component: &Component, grants: &Grants) -> Result<Linked, Failure> {
        let (compiled, capabilities) = (&component.inner, Capabilities::of(grants));
        let place = &compiled.linked[capabilities.index()];
        if let Some(linked) = place.get() {
            return Ok(linked.clone());
        }
        check_grants(&compiled.inspection.imports, grants)?;
        let linked = self
            .link_anew(compiled, capabilities)
            .map_err(|error| Failure::Incompatible { message: format!("{error:#}") })?;
        Ok(place.get_or_init(|| linked).clone())
    }

    fn link_anew(
        &self,
        compiled: &Compiled,
        capabilities: Capabilities,
    ) -> wasmtime::Result<Linked> {
        let place = &self.inner.linkers[capabilities.index()];
        let linker = match place.get() {
            Some(linker) => linker,
            None => {
                let linker = capabilities.linker(&self.inner.wasmtime)?;
                place.get_or_init(|| linker)
            }
        };
        let linked = linker.instantiate_pre(&compiled.component)?;
        Ok(match compiled.inspection.kind {
            ComponentKind::Recipe => Linked::Recipe(RecipePre::new(linked)?),
            ComponentKind::HealthCheck => Linked::Check(HealthCheckPre::new(linked)?),
        })
    }
}

/// A component with all that it imports, ready to become an instance.
#[derive(Clone)]
pub(crate) enum Linked {
    Recipe(RecipePre<State>),
    Check(HealthCheckPre<State>),
}

/// Does something that takes long on a thread that may wait.
async fn aside<T: Send + 'static>(
    refused: impl FnOnce(String) -> CompileError,
    work: impl FnOnce() -> Result<T, CompileError> + Send + 'static,
) -> Result<T, CompileError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(refused(error.to_string())))
}
