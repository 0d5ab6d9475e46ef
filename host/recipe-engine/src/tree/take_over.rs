//! Taking over what a command did in its copies of directories.

use super::Tree;
use super::layer::{Budget, Layer, Node, Sort};
use crate::bindings::interfaces::files::Kind;
use crate::bindings::interfaces::types::{Change, Error};

impl Tree {
    /// Does what was done in these layers, in the directories below them. All is checked before the
    /// first change.
    pub(crate) fn take_over(
        &self,
        layers: &[Layer],
        budget: &mut Budget,
    ) -> Result<Vec<(String, Change)>, Error> {
        let mut all = Vec::new();
        for layer in layers {
            all.push((layer, layer.nodes(budget)?));
        }
        let mut changes = Vec::new();
        for (layer, nodes) in all {
            for node in nodes {
                let path = layer.path(&node.name);
                let change = self.take_over_one(layer, &path, node)?;
                if !matches!(change, Change::Unchanged) {
                    changes.push((path, change));
                }
            }
        }
        Ok(changes)
    }

    fn take_over_one(&self, layer: &Layer, path: &str, node: Node) -> Result<Change, Error> {
        let wanted = match node.sort {
            Sort::Gone => return self.remove(path),
            Sort::Directory { .. } => Kind::Directory,
            Sort::File(_) => Kind::File,
            Sort::Link(_) => Kind::Symlink,
        };
        let is_new = matches!(node.sort, Sort::Directory { is_new: true });
        let found = self.stat(path)?;
        let replaced = found.is_some_and(|found| found.kind != wanted || is_new);
        if replaced {
            self.remove(path)?;
        }
        let change = match node.sort {
            Sort::Gone => return Ok(Change::Unchanged),
            Sort::Directory { .. } => self.directory(path, node.attributes)?,
            Sort::File(size) => {
                let content = layer.content(&node.name, size)?;
                self.write(path, &content, Vec::new(), node.attributes)?
            }
            Sort::Link(target) => self.symlink(path, &target)?,
        };
        Ok(if replaced { Change::Updated } else { change })
    }
}
