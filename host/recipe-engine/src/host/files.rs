//! `cerebro:recipe/files`.

use super::{Scope, State, accounts};
use crate::bindings::interfaces::files::{Attributes, Content, Entry, Host, Metadata, Node, Owner};
use crate::bindings::interfaces::types::{Change, Error};
use crate::tape::{Arguments, digest_of};
use crate::tree;
use serde_bytes::ByteBuf;

impl Host for State {
    async fn stat(&mut self, path: String) -> wasmtime::Result<Result<Option<Metadata>, Error>> {
        let (scope, asked) = (self.scope(), path.clone());
        let work = scope.with_tree(move |tree| tree.stat(&path));
        scope.asked("files.stat", &asked, &asked, work).await
    }

    async fn read(&mut self, path: String, limit: u64) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        // More than its memory it cannot take.
        let limit = limit.min(self.scope.call.limits.memory as u64);
        let (scope, asked) = (self.scope(), path.clone());
        let work = async {
            // A recording takes them as they are, and not one by one.
            let read = scope.with_tree(move |tree| tree.read(&path, limit));
            Ok(ByteBuf::from(read.await?))
        };
        let read = scope.asked("files.read", &asked, &(&asked, limit), work).await?;
        Ok(read.map(ByteBuf::into_vec))
    }

    async fn list(&mut self, path: String) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        let (scope, asked) = (self.scope(), path.clone());
        let work = scope.with_tree(move |tree| tree.list(&path));
        scope.asked("files.list", &asked, &asked, work).await
    }

    async fn write(
        &mut self,
        path: String,
        content: Vec<u8>,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let scope = self.scope();
        let asked = (path.clone(), digest(&scope, &content), attributes.clone());
        let secrets = scope.secrets.clone();
        let work = scope.with_tree(move |tree| {
            let content = secrets.fill(content);
            let attributes = resolve(tree, &attributes)?;
            tree.write(&path, &content, secrets.named_in(&content), attributes)
        });
        scope.asked("files.write", &asked.0, &asked, work).await
    }

    async fn digest(&mut self, path: String) -> wasmtime::Result<Result<String, Error>> {
        let (scope, asked) = (self.scope(), path.clone());
        let work = scope.with_tree(move |tree| tree.digest(&path));
        scope.asked("files.digest", &asked, &asked, work).await
    }

    async fn set_attributes(
        &mut self,
        path: String,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let (scope, asked) = (self.scope(), (path.clone(), attributes.clone()));
        let work = scope.with_tree(move |tree| {
            let attributes = resolve(tree, &attributes)?;
            tree.set_attributes(&path, attributes)
        });
        scope.asked("files.set-attributes", &asked.0, &asked, work).await
    }

    async fn rename(
        &mut self,
        path: String,
        to: String,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let (scope, asked) = (self.scope(), (path.clone(), to.clone()));
        let work = scope.with_tree(move |tree| tree.rename(&path, &to));
        scope.asked("files.rename", &asked.0, &asked, work).await
    }

    async fn copy(
        &mut self,
        path: String,
        to: String,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let (scope, asked) = (self.scope(), (path.clone(), to.clone(), attributes.clone()));
        let work = scope.with_tree(move |tree| {
            let attributes = resolve(tree, &attributes)?;
            tree.copy(&path, &to, attributes)
        });
        scope.asked("files.copy", &asked.1, &asked, work).await
    }

    async fn tree(
        &mut self,
        path: String,
        nodes: Vec<Node>,
        purge: bool,
    ) -> wasmtime::Result<Result<Vec<(String, Change)>, Error>> {
        let (scope, asked) = (self.scope(), (path.clone(), purge));
        let nodes_asked: Vec<_> = match scope.tape.is_off() {
            true => Vec::new(),
            false => nodes.iter().map(|node| node_asked(&scope, node)).collect(),
        };
        let secrets = scope.secrets.clone();
        let work = scope.with_tree(move |tree| {
            let nodes = nodes.into_iter().map(|node| {
                let content = match node.content {
                    Content::Directory => tree::Content::Directory,
                    Content::Bytes(bytes) => {
                        let bytes = secrets.fill(bytes);
                        let named = secrets.named_in(&bytes);
                        tree::Content::File(bytes, named)
                    }
                    Content::Link(target) => tree::Content::Link(target),
                    Content::Other(other) => {
                        let why = format!("this Cerebro cannot make a `{other}`");
                        return Err(Error::Unsupported(why));
                    }
                };
                let attributes = match content {
                    tree::Content::Directory => resolve_directory(tree, &node.attributes)?,
                    _ => resolve(tree, &node.attributes)?,
                };
                Ok(tree::Node { path: node.path, content, attributes })
            });
            tree.hold(&path, nodes.collect::<Result<_, _>>()?, purge)
        });
        scope.asked("files.tree", &asked.0, &(&asked, nodes_asked), work).await
    }

    async fn directory(
        &mut self,
        path: String,
        attributes: Attributes,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let (scope, asked) = (self.scope(), (path.clone(), attributes.clone()));
        let work = scope.with_tree(move |tree| {
            let attributes = resolve_directory(tree, &attributes)?;
            tree.directory(&path, attributes)
        });
        scope.asked("files.directory", &asked.0, &asked, work).await
    }

    async fn symlink(
        &mut self,
        path: String,
        target: String,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let (scope, asked) = (self.scope(), (path.clone(), target.clone()));
        let work = scope.with_tree(move |tree| tree.symlink(&path, &target));
        scope.asked("files.symlink", &asked.0, &asked, work).await
    }

    async fn remove(&mut self, path: String) -> wasmtime::Result<Result<Change, Error>> {
        let (scope, asked) = (self.scope(), path.clone());
        let work = scope.with_tree(move |tree| tree.remove(&path));
        scope.asked("files.remove", &asked, &asked, work).await
    }
}

/// What tells a file's content from another, if a recording needs it.
fn digest(scope: &Scope, content: &[u8]) -> Option<Arguments> {
    (!scope.tape.is_off()).then(|| digest_of(content))
}

type Asked = (String, Option<Arguments>, Option<String>, Attributes);

fn node_asked(scope: &Scope, node: &Node) -> Asked {
    let content = match &node.content {
        Content::Bytes(bytes) => digest(scope, bytes),
        _ => None,
    };
    let link = match &node.content {
        Content::Link(target) => Some(target.clone()),
        _ => None,
    };
    (node.path.clone(), content, link, node.attributes.clone())
}

fn resolve(tree: &tree::Tree, attributes: &Attributes) -> Result<tree::Attributes, Error> {
    match attributes.mode {
        Some(mode) if mode & 0o6000 != 0 => Err(Error::Denied(format!(
            "the mode {mode:04o} would lend a program its owner's privileges: no grant allows it"
        ))),
        _ => resolve_directory(tree, attributes),
    }
}

/// What is in a directory with such a bit belongs to its group, which lends nothing.
fn resolve_directory(
    tree: &tree::Tree,
    attributes: &Attributes,
) -> Result<tree::Attributes, Error> {
    let owner = attributes.owner.as_ref().map(|wanted| owner(tree, wanted)).transpose()?;
    Ok(tree::Attributes { mode: attributes.mode, owner })
}

/// The numbers of an owner.
pub(super) fn owner(tree: &tree::Tree, owner: &Owner) -> Result<tree::Owner, Error> {
    let (uid, own) = match accounts::user(&owner.user) {
        Ok(user) => (user.uid, user.gid),
        Err(error) => planned(tree, &owner.user, error).map(|number| (number, number))?,
    };
    let gid = match &owner.group {
        None => own,
        Some(name) => accounts::group(name).or_else(|error| planned(tree, name, error))?,
    };
    Ok(tree::Owner { uid, gid })
}

/// What stands for the number of an account that is not there, if a plan makes it.
fn planned(tree: &tree::Tree, name: &str, error: Error) -> Result<u32, Error> {
    match error {
        Error::NotFound(why) => tree.to_be(name).ok_or_else(|| tree.not_yet(why)),
        other => Err(other),
    }
}
