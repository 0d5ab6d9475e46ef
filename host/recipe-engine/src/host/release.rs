//! `cerebro:recipe/release`.

use super::artifact::Artifact;
use super::{State, files};
use crate::bindings::interfaces::release::{Host, Info, Layout};
use crate::bindings::interfaces::types::{Change, Error};
use crate::tree;
use wasmtime::component::Resource;

impl Host for State {
    async fn path(
        &mut self,
        base: String,
        version: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        let (scope, asked) = (self.scope(), (base, version));
        let work = async { tree::release_path(&asked.0, &asked.1) };
        scope.asked("release.path", &asked.1, &asked, work).await
    }

    async fn list(&mut self, base: String) -> wasmtime::Result<Result<Vec<Info>, Error>> {
        let info = |release: tree::Release| Info {
            version: release.version,
            staged: release.staged,
            current: release.current,
            needed: release.needed,
        };
        let (scope, asked) = (self.scope(), base.clone());
        let work = scope.with_tree(move |tree| {
            tree.releases(&base).map(|releases| releases.into_iter().map(info).collect())
        });
        scope.asked("release.list", &asked, &asked, work).await
    }

    async fn stage(
        &mut self,
        layout: Layout,
        version: String,
        content: Option<Resource<Artifact>>,
        strip: u32,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let artifact = content.map(|content| self.table.get(&content).cloned()).transpose()?;
        let instance = self.scope.call.context.instance.clone();
        let (limits, deadline) = (self.scope.call.limits.clone(), self.scope.deadline.into_std());
        let (scope, about) = (self.scope(), format!("{}/releases/{version}", layout.base));
        let digest = artifact.as_ref().map(|artifact| artifact.digest);
        let asked = (layout.clone(), version.clone(), digest, strip);
        let staged = scope.with_tree(move |tree| {
            let owner = layout.owner.as_ref().map(|own| files::owner(tree, own)).transpose()?;
            let unpack = artifact.as_ref().map(|artifact| tree::Unpack {
                archive: &artifact.path,
                digest: artifact.digest,
                strip: strip as usize,
                owner,
                most_bytes: limits.unpacked_bytes,
                most_entries: limits.unpacked_entries,
                deadline,
            });
            let shared = layout.shared.into_iter();
            let shared =
                shared.map(|s| tree::Shared { path: s.path, directory: s.directory }).collect();
            let layout = tree::Layout { base: layout.base, owner, shared };
            tree.stage(&layout, &version, instance.as_str(), unpack.as_ref())
        });
        scope.asked("release.stage", about, &asked, staged).await
    }

    async fn activate(
        &mut self,
        base: String,
        version: String,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let (scope, asked) = (self.scope(), (base.clone(), version.clone()));
        let work = scope.with_tree(move |tree| tree.activate(&base, &version));
        scope.asked("release.activate", &asked.1, &asked, work).await
    }

    async fn prune(
        &mut self,
        base: String,
        keep: u32,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let (scope, asked) = (self.scope(), (base.clone(), keep));
        let work = scope.with_tree(move |tree| tree.prune(&base, keep as usize));
        scope.asked("release.prune", &asked.0, &asked, work).await
    }

    async fn leave(&mut self, base: String) -> wasmtime::Result<Result<Change, Error>> {
        let (scope, asked) = (self.scope(), base.clone());
        let instance = scope.call.context.instance.clone();
        let work = scope.with_tree(move |tree| tree.leave(&base, instance.as_str()));
        scope.asked("release.leave", &asked, &asked, work).await
    }
}
