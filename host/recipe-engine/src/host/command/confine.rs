//! What holds a command while it runs.

use super::super::Scope;
use crate::bindings::interfaces::command::Spec;
use crate::bindings::interfaces::types::Error;
use crate::journal::Ledger;
use crate::tree::Tree;
use cerebro_linux::sandbox::{Refused, Sandbox};
use cerebro_model::{Allowed, CommandBound, Grants};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// How a command is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hold {
    /// Not at all: it may do what its user may.
    Nothing,
    /// It only reads.
    Reading,
    /// To what its grant says.
    Bound(CommandBound),
}

impl Scope {
    /// How a command is to be held: by what it says of itself, or else by its grant.
    pub(super) fn hold_of(&self, spec: &Spec) -> Hold {
        if spec.semantics.as_ref().is_some_and(|semantics| semantics.query) {
            return Hold::Reading;
        }
        let bound = self.allowed.bound(&spec.argv, spec.user.as_deref());
        bound.map_or(Hold::Nothing, Hold::Bound)
    }

    /// What holds a command so.
    pub(super) async fn sandbox(&self, hold: Hold) -> Result<Option<Sandbox>, Error> {
        let bound = match hold {
            Hold::Nothing => return Ok(None),
            Hold::Reading => CommandBound { writes: Some(Vec::new()), network: false },
            Hold::Bound(bound) => bound,
        };
        let (call, changing) = (self.call.clone(), self.tree.changing());
        self.with_tree(move |_| {
            let writes = bound.writes.as_deref().unwrap_or_default();
            // Only what is bound to may be reached, by whatever links.
            let grants = Grants { write: writes.to_vec(), ..Grants::default() };
            let (allowed, ledger) = (Allowed::new(Arc::new(grants), None), Arc::new(Ledger::off()));
            let tree = Tree::new(&call.root, allowed, changing, ledger);
            let open = |path: &cerebro_model::PathPattern| tree.open_to_write(path.as_str());
            let writable = writes.iter().map(|path| open(path).map(|(opened, _)| opened));
            Ok(Some(Sandbox {
                read_only_root: bound.writes.is_some(),
                writable: writable.collect::<Result<_, _>>()?,
                visible: visible(&call.root)?,
                no_network: !bound.network,
                ..Sandbox::default()
            }))
        })
        .await
    }
}

/// The machine's root, where that is a directory of another machine.
pub(super) fn visible(root: &std::path::Path) -> Result<Vec<OwnedFd>, Error> {
    if root.parent().is_none() {
        return Ok(Vec::new());
    }
    let opened = File::open(root).map_err(|error| {
        Error::Failed(format!("open the machine's root directory `{}`: {error}", root.display()))
    })?;
    Ok(vec![opened.into()])
}

/// What it means to a component that its command cannot be held.
pub(super) fn refused(program: &str, refused: Refused) -> Error {
    let why = format!("`{program}` cannot be held to what it may do: {refused}");
    match refused.is_unsupported() {
        true => Error::Unsupported(why),
        false => Error::Failed(why),
    }
}
