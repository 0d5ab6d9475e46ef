//! The machine that a component runs on.

use super::{Done, Effect, Host, Outcome, Source};
use crate::host::archive::{self, UnpackOptions};
use crate::host::artifact::{self, Artifact};
use crate::host::context::{self, Instance};
use crate::host::facts::{self, Load, Memory, Mount, NetworkInterface, OperatingSystem};
use crate::host::files::{self, Attributes, Entry, Metadata, Node};
use crate::host::log::{self, Level};
use crate::host::net::{self, HttpAnswer, HttpProbe, TcpAnswer, TcpProbe};
use crate::host::types::{self, Change, Error};
use crate::host::{command, kv, notify, packages, release, secret, services, task, users};

/// The machine that a component runs on. It works in a component only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

fn fetch(source: &Source) -> Result<Artifact, Error> {
    match source {
        Source::Artifact(sha256) => artifact::fetch(sha256),
        Source::Url { url, sha256 } => artifact::download(url, sha256),
    }
}

fn effect(done: Result<types::Effect, Error>) -> Result<Effect, Error> {
    done.map(|done| Effect(Done::Real(done)))
}

impl Host for Machine {
    fn instance(&self) -> Instance {
        context::get()
    }
    fn options(&self) -> String {
        context::options()
    }

    fn log(&self, level: Level, message: &str) {
        log::write(level, message);
    }
    fn progress(&self, step: &str, done: u64, total: Option<u64>) {
        log::progress(step, done, total);
    }

    fn system(&self) -> OperatingSystem {
        facts::system()
    }
    fn cpus(&self) -> u32 {
        facts::cpus()
    }
    fn memory(&self) -> Memory {
        facts::memory_now()
    }
    fn load(&self) -> Load {
        facts::load_now()
    }
    fn uptime(&self) -> f64 {
        facts::uptime()
    }
    fn mounts(&self) -> Vec<Mount> {
        facts::mounts()
    }
    fn interfaces(&self) -> Vec<NetworkInterface> {
        facts::interfaces()
    }
    fn fact(&self, name: &str) -> Option<String> {
        facts::custom(name)
    }

    fn stat(&self, path: &str) -> Result<Option<Metadata>, Error> {
        files::stat(path)
    }
    fn digest(&self, path: &str) -> Result<String, Error> {
        files::digest(path)
    }
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        files::read(path, limit)
    }
    fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        files::list(path)
    }
    fn write(&self, path: &str, content: &[u8], how: &Attributes) -> Result<Change, Error> {
        files::write(path, content, how)
    }
    fn directory(&self, path: &str, how: &Attributes) -> Result<Change, Error> {
        files::directory(path, how)
    }
    fn symlink(&self, path: &str, target: &str) -> Result<Change, Error> {
        files::symlink(path, target)
    }
    fn set_attributes(&self, path: &str, how: &Attributes) -> Result<Change, Error> {
        files::set_attributes(path, how)
    }
    fn rename(&self, path: &str, to: &str) -> Result<Change, Error> {
        files::rename(path, to)
    }
    fn copy(&self, path: &str, to: &str, how: &Attributes) -> Result<Change, Error> {
        files::copy(path, to, how)
    }
    fn tree(
        &self,
        path: &str,
        nodes: &[Node],
        purge: bool,
    ) -> Result<Vec<(String, Change)>, Error> {
        files::tree(path, nodes, purge)
    }
    fn remove(&self, path: &str) -> Result<Change, Error> {
        files::remove(path)
    }

    fn unpack(&self, source: &Source, path: &str, how: &UnpackOptions) -> Result<Change, Error> {
        archive::unpack(&fetch(source)?, path, how)
    }

    fn release_path(&self, base: &str, version: &str) -> Result<String, Error> {
        release::path(base, version)
    }
    fn releases(&self, base: &str) -> Result<Vec<release::Info>, Error> {
        release::list(base)
    }
    fn stage(
        &self,
        layout: &release::Layout,
        version: &str,
        content: Option<&Source>,
        strip: u32,
    ) -> Result<Change, Error> {
        let content = content.map(fetch).transpose()?;
        release::stage(layout, version, content.as_ref(), strip)
    }
    fn activate(&self, base: &str, version: &str) -> Result<Change, Error> {
        release::activate(base, version)
    }
    fn prune(&self, base: &str, keep: u32) -> Result<Vec<String>, Error> {
        release::prune(base, keep)
    }
    fn leave(&self, base: &str) -> Result<Change, Error> {
        release::leave(base)
    }

    fn run(&self, spec: &command::Spec) -> Result<Outcome, Error> {
        let outcome = command::run(spec)?;
        Ok(Outcome {
            skipped: outcome.skipped(),
            exit_code: outcome.exit_code(),
            stdout: outcome.stdout(),
            stderr: outcome.stderr(),
            truncated: outcome.truncated(),
            success: outcome.ensure_success(),
        })
    }
    fn run_to_success(&self, spec: &command::Spec) -> Result<Change, Error> {
        command::run(spec)?.ensure_success()
    }

    fn package(&self, name: &str) -> Result<Option<String>, Error> {
        packages::installed(name)
    }
    fn ensure_packages(&self, specs: &[packages::Spec]) -> Result<Effect, Error> {
        effect(packages::ensure(specs))
    }
    fn refresh_packages(&self, age: u32) -> Result<Effect, Error> {
        effect(packages::refresh(age))
    }

    fn service(&self, name: &str) -> Result<Option<services::Status>, Error> {
        services::get(name)
    }
    fn ensure_service(&self, spec: &services::Spec) -> Result<Effect, Error> {
        effect(services::ensure(spec))
    }
    fn restart_service(&self, name: &str) -> Result<Effect, Error> {
        effect(services::restart(name))
    }
    fn reload_service(&self, name: &str) -> Result<Effect, Error> {
        effect(services::reload(name))
    }
    fn reload_definitions(&self) -> Result<Effect, Error> {
        effect(services::reload_definitions())
    }

    fn user(&self, name: &str) -> Result<Option<users::User>, Error> {
        users::get(name)
    }
    fn group(&self, name: &str) -> Result<Option<u32>, Error> {
        users::get_group(name)
    }
    fn ensure_user(&self, spec: &users::Spec) -> Result<Effect, Error> {
        effect(users::ensure(spec))
    }
    fn ensure_group(&self, name: &str, gid: Option<u32>, system: bool) -> Result<Effect, Error> {
        effect(users::ensure_group(name, gid, system))
    }
    fn remove_user(&self, name: &str) -> Result<Effect, Error> {
        effect(users::remove(name))
    }
    fn remove_group(&self, name: &str) -> Result<Effect, Error> {
        effect(users::remove_group(name))
    }

    fn task(&self, name: Option<&str>) -> Result<Option<task::Status>, Error> {
        task::get(name)
    }
    fn task_usage(&self, name: Option<&str>) -> Result<Option<task::Usage>, Error> {
        task::measure(name)
    }
    fn task_output(
        &self,
        name: Option<&str>,
        stderr: bool,
        lines: u32,
    ) -> Result<Vec<String>, Error> {
        task::output(name, stderr, lines)
    }
    fn signal_task(&self, name: Option<&str>, signal: &str) -> Result<Effect, Error> {
        effect(task::signal(name, signal))
    }
    fn restart_task(&self, name: Option<&str>) -> Result<Effect, Error> {
        effect(task::restart(name))
    }

    fn at_end(&self, action: &notify::Action) -> Result<(), Error> {
        notify::at_end(action)
    }

    fn secret(&self, name: &str) -> Result<String, Error> {
        Ok(secret::get(name)?.placeholder())
    }
    fn reveal(&self, name: &str) -> Result<Vec<u8>, Error> {
        Ok(secret::get(name)?.reveal())
    }

    fn resolve(&self, host: &str) -> Result<Vec<String>, Error> {
        net::resolve(host)
    }
    fn tcp(&self, probe: &TcpProbe) -> Result<TcpAnswer, Error> {
        net::tcp(probe)
    }
    fn http(&self, probe: &HttpProbe) -> Result<HttpAnswer, Error> {
        net::http(probe)
    }

    fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        kv::get(key)
    }
    fn keys(&self) -> Result<Vec<String>, Error> {
        kv::keys()
    }
    fn remember(&self, key: &str, value: &[u8]) -> Result<Change, Error> {
        kv::set(key, value)
    }
    fn forget(&self, key: &str) -> Result<Change, Error> {
        kv::delete(key)
    }
}
