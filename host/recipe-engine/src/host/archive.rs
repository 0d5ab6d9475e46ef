//! `cerebro:recipe/archive`.

use super::artifact::Artifact;
use super::{State, files};
use crate::bindings::interfaces::archive::{Host, UnpackOptions};
use crate::bindings::interfaces::types::{Change, Error};
use crate::tree::Unpack;
use wasmtime::component::Resource;

impl Host for State {
    async fn unpack(
        &mut self,
        source: Resource<Artifact>,
        path: String,
        options: UnpackOptions,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let artifact = self.table.get(&source)?.clone();
        let limits = self.scope.call.limits.clone();
        let deadline = self.scope.deadline.into_std();
        let (scope, about) = (self.scope(), path.clone());
        let asked = (artifact.digest, path.clone(), options.strip, options.owner.clone());
        let unpacked = scope.with_tree(move |tree| {
            let unpack = Unpack {
                archive: &artifact.path,
                digest: artifact.digest,
                strip: options.strip as usize,
                owner: options.owner.as_ref().map(|own| files::owner(tree, own)).transpose()?,
                most_bytes: limits.unpacked_bytes,
                most_entries: limits.unpacked_entries,
                deadline,
            };
            tree.unpack(&path, &unpack)
        });
        scope.asked("archive.unpack", about, &asked, unpacked).await
    }
}
