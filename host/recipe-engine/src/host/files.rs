//! `cerebro:recipe/files`.

use super::{State, users};
use crate::bindings::interfaces::files::{Attributes, Entry, Host, Metadata, Owner};
use crate::bindings::interfaces::types::{Change, Error};
use crate::tree;

impl Host for State {
    async fn stat(&mut self, path: String) -> wasmtime::Result<Result<Option<Metadata>, Error>> {
        Ok(self.scope.with_tree(move |tree| tree.stat(&path)).await)
    }

    async fn read(&mut self, path: String, limit: u64) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        // More than its memory it cannot take.
        let limit = limit.min(self.scope.call.limits.memory as u64);
        Ok(self.scope.with_tree(move |tree| tree.read(&path, limit)).await)
    }

    async fn list(&mut self, path: String) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        Ok(self.scope.with_tree(move |tree| tree.list(&path)).await)
    }

    async fn write(
        &mut self,
        path: String,
        content: Vec<u8>,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let work = move |tree: &tree::Tree| tree.write(&path, &content, resolve(&attributes)?);
        Ok(self.scope.with_tree(work).await)
    }

    async fn directory(
        &mut self,
        path: String,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let work = move |tree: &tree::Tree| tree.directory(&path, resolve(&attributes)?);
        Ok(self.scope.with_tree(work).await)
    }

    async fn symlink(
        &mut self,
        path: String,
        target: String,
    ) -> wasmtime::Result<Result<Change, Error>> {
        Ok(self.scope.with_tree(move |tree| tree.symlink(&path, &target)).await)
    }

    async fn remove(&mut self, path: String) -> wasmtime::Result<Result<Change, Error>> {
        Ok(self.scope.with_tree(move |tree| tree.remove(&path)).await)
    }
}

fn resolve(attributes: &Attributes) -> Result<tree::Attributes, Error> {
    let owner = attributes.owner.as_ref().map(owner).transpose()?;
    Ok(tree::Attributes { mode: attributes.mode, owner })
}

/// The numbers of an owner.
pub(super) fn owner(owner: &Owner) -> Result<tree::Owner, Error> {
    let user = users::user(&owner.user)?;
    let gid = owner.group.as_deref().map(users::group).transpose()?.unwrap_or(user.gid);
    Ok(tree::Owner { uid: user.uid, gid })
}
