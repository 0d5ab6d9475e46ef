//! Whether all of a store can be read.

use super::{StoreCommandError, file};
use crate::records::Records;
use cerebro_model::Digest;
use cerebro_store::{Blobs, Reader, Summary};
use std::collections::BTreeSet;
use std::path::Path;

/// What was found.
pub(super) struct Found {
    pub(super) summary: Option<Summary>,
    pub(super) blobs: usize,
    /// In sentences.
    pub(super) wrong: Vec<String>,
    /// Why secrets cannot be read: they can be set again.
    pub(super) secrets: Vec<String>,
}

/// Looks at everything, and prints what is there and what is wrong; an error if anything is.
pub(super) fn report(store: &Path, blobs: &Path) -> Result<(), StoreCommandError> {
    let found = look(store, blobs)?;
    if let Some(Summary { schema, term, revision, entries, events, secrets }) = &found.summary {
        println!("{}: schema {schema}, term {term}, revision {revision}", store.display());
        println!(
            "{entries} records, {events} events, {secrets} secrets, {} components and artifacts",
            found.blobs
        );
    }
    let wrong = found.wrong.iter().chain(&found.secrets);
    wrong.for_each(|wrong| println!("wrong: {wrong}"));
    match found.wrong.len() + found.secrets.len() {
        0 => {
            println!("all of it can be read, and is as it was written");
            Ok(())
        }
        wrong => Err(StoreCommandError::Unsound { path: store.to_owned(), wrong }),
    }
}

/// Looks at everything.
pub(super) fn look(store: &Path, blobs: &Path) -> Result<Found, StoreCommandError> {
    let reader = Reader::open(store)?;
    let mut wrong = reader.check()?;
    let (mut summary, mut secrets) = (None, Vec::new());
    let mut named = BTreeSet::new();
    // Of a file with damaged pages nothing more can be said.
    if wrong.is_empty() {
        summary = Some(reader.summary()?);
        secrets = reader.check_secrets()?;
        match Records::of(&reader.entries()?) {
            Ok(records) => named = components(&records),
            Err(error) => wrong.push(sentence(&error)),
        }
    }
    let all = Blobs::list(blobs).map_err(file("list", blobs))?;
    for digest in &all {
        let path = blobs.join(digest.to_string());
        let (is, _) = Blobs::digest_of(&path).map_err(file("read", &path))?;
        if is != *digest {
            let (digest, is) = (digest.short(), is.short());
            wrong.push(format!(
                "the component or artifact {digest} was changed, to {is}: upload it again"
            ));
        }
    }
    for digest in named.iter().filter(|digest| all.binary_search(digest).is_err()) {
        let digest = digest.short();
        wrong.push(format!("the component {digest} is used, and is not there: upload it again"));
    }
    Ok(Found { summary, blobs: all.len(), wrong, secrets })
}

/// Components that uploads and deployments name.
fn components(records: &Records) -> BTreeSet<Digest> {
    let uploaded = records.recipes.values().map(|recipe| recipe.digest);
    let deployed = records
        .deployments
        .values()
        .flat_map(|deployment| deployment.checks.values().copied().chain([deployment.recipe]));
    uploaded.chain(deployed).collect()
}

fn sentence(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |words, source| format!("{words}: {source}"))
}
