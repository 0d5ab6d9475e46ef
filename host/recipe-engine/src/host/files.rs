//! `cerebro:recipe/files`.

use super::{State, accounts};
use crate::bindings::interfaces::files::{Attributes, Content, Entry, Host, Metadata, Node, Owner};
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
        let content = self.scope.secrets.fill(content);
        let work = move |tree: &tree::Tree| tree.write(&path, &content, resolve(&attributes)?);
        Ok(self.scope.with_tree(work).await)
    }

    async fn digest(&mut self, path: String) -> wasmtime::Result<Result<String, Error>> {
        Ok(self.scope.with_tree(move |tree| tree.digest(&path)).await)
    }

    async fn set_attributes(
        &mut self,
        path: String,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let work = move |tree: &tree::Tree| tree.set_attributes(&path, resolve(&attributes)?);
        Ok(self.scope.with_tree(work).await)
    }

    async fn rename(
        &mut self,
        path: String,
        to: String,
    ) -> wasmtime::Result<Result<Change, Error>> {
        Ok(self.scope.with_tree(move |tree| tree.rename(&path, &to)).await)
    }

    async fn copy(
        &mut self,
        path: String,
        to: String,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let work = move |tree: &tree::Tree| tree.copy(&path, &to, resolve(&attributes)?);
        Ok(self.scope.with_tree(work).await)
    }

    async fn tree(
        &mut self,
        path: String,
        nodes: Vec<Node>,
        purge: bool,
    ) -> wasmtime::Result<Result<Vec<(String, Change)>, Error>> {
        let secrets = self.scope.secrets.clone();
        let work = move |tree: &tree::Tree| {
            let nodes = nodes.into_iter().map(|node| {
                let content = match node.content {
                    Content::Directory => tree::Content::Directory,
                    Content::Bytes(bytes) => tree::Content::File(secrets.fill(bytes)),
                    Content::Link(target) => tree::Content::Link(target),
                    Content::Other(other) => {
                        let why = format!("this Cerebro cannot make a `{other}`");
                        return Err(Error::Unsupported(why));
                    }
                };
                let attributes = match content {
                    tree::Content::Directory => resolve_directory(&node.attributes)?,
                    _ => resolve(&node.attributes)?,
                };
                Ok(tree::Node { path: node.path, content, attributes })
            });
            tree.hold(&path, nodes.collect::<Result<_, _>>()?, purge)
        };
        Ok(self.scope.with_tree(work).await)
    }

    async fn directory(
        &mut self,
        path: String,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let work = move |tree: &tree::Tree| tree.directory(&path, resolve_directory(&attributes)?);
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
    match attributes.mode {
        Some(mode) if mode & 0o6000 != 0 => Err(Error::Denied(format!(
            "the mode {mode:04o} would lend a program its owner's privileges: no grant allows it"
        ))),
        _ => resolve_directory(attributes),
    }
}

/// What is in a directory with such a bit belongs to its group, which lends nothing.
fn resolve_directory(attributes: &Attributes) -> Result<tree::Attributes, Error> {
    let owner = attributes.owner.as_ref().map(owner).transpose()?;
    Ok(tree::Attributes { mode: attributes.mode, owner })
}

/// The numbers of an owner.
pub(super) fn owner(owner: &Owner) -> Result<tree::Owner, Error> {
    let user = accounts::user(&owner.user)?;
    let gid = owner.group.as_deref().map(accounts::group).transpose()?.unwrap_or(user.gid);
    Ok(tree::Owner { uid: user.uid, gid })
}
