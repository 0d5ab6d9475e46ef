//! How a path differs from what an effect left.

use super::keep::Keep;
use super::path::Plain;
use super::{Tree, failed, manifest, open_beneath};
use crate::bindings::interfaces::types::Error;
use crate::journal::Signature;
use cerebro_model::{Action, Effect, Form, Seen};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::path::Path;

impl Tree {
    /// What differs; none if nothing does. `journal` is the call's directory, its journal's id, and the
    /// effect's number; `left` is the file as it was left, and where an older journal does not tell of
    /// that, `done` is when it was, in microseconds since 1970; `is_ours` says of a path whether we have
    /// changed it since.
    pub(crate) fn drift(
        &self,
        effect: &Effect,
        journal: (&Path, &str, u32),
        left: Option<Signature>,
        done: i64,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, Error> {
        let path = match &effect.action {
            Action::Rename { to, .. } => to,
            action => match action.path() {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        let spot = match self.exactly(&Plain::parse(path)?) {
            Ok(spot) => spot,
            Err(Error::NotFound(_)) => {
                return Ok(effect.after.as_ref().map(|_| "it was removed".to_owned()));
            }
            Err(Error::Invalid(why)) => return Ok(Some(why)),
            Err(error) => return Err(error),
        };
        // It is not even opened.
        if left.is_some() && spot.signature()? == left {
            return Ok(None);
        }
        let found = spot.metadata()?;
        let (now, after) = match (&found, &effect.after) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Ok(Some("it was removed".to_owned())),
            (Some(_), None) => return Ok(Some("it is there again".to_owned())),
            (Some(found), Some(after)) => (found, after),
        };
        let mut seen = Seen::from(now);
        if let Some(difference) = differs(&seen, after) {
            return Ok(Some(difference));
        }
        // Whoever wrote to it since has left that time.
        let is_newer = now.modified.saturating_mul(1_000_000) >= done.saturating_sub(1_000_000);
        let may_differ = left.is_some() || is_newer;
        if after.digest.is_some() && seen.form == Form::File && may_differ {
            seen.digest = Some(self.digest_at(&spot)?);
            if !seen.is(after) {
                return Ok(Some("its content differs".to_owned()));
            }
        }
        if let Action::Unpack { .. } = effect.action {
            let (directory, id, n) = journal;
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
            let dir = open_beneath(spot.dir()?, &spot.name, flags, Mode::empty())
                .map_err(|errno| failed(errno, "open", &spot.path))?;
            let differing = manifest::differences(&dir, &Keep::new(directory, id, n).manifest())?;
            let theirs = |name: &String| match name.as_str() {
                "." => !is_ours(path),
                name => !is_ours(&format!("{path}/{name}")),
            };
            let differing: Option<Vec<_>> =
                differing.map(|differing| differing.into_iter().filter(theirs).collect());
            let differing = differing.filter(|differing| !differing.is_empty());
            return Ok(differing.map(|differing| {
                let some = differing.iter().take(3).map(String::as_str).collect::<Vec<_>>();
                match differing.len() {
                    1 => format!("`{}` in it differs", some.join("")),
                    all => format!("{all} things in it differ, such as `{}`", some.join("`, `")),
                }
            }));
        }
        Ok(None)
    }
}

fn differs(now: &Seen, after: &Seen) -> Option<String> {
    if now.form != after.form {
        return Some("it is of another kind".to_owned());
    }
    if now.target != after.target {
        return Some(format!("it leads to `{}`", now.target.as_deref().unwrap_or_default()));
    }
    if now.mode != after.mode {
        return Some(format!("its mode is {:04o}, not {:04o}", now.mode, after.mode));
    }
    if (now.uid, now.gid) != (after.uid, after.gid) {
        let (now, after) = (format!("{}:{}", now.uid, now.gid), (after.uid, after.gid));
        return Some(format!("it belongs to {now}, not to {}:{}", after.0, after.1));
    }
    match (now.size, after.size) {
        (Some(now), Some(after)) if now != after => {
            Some(format!("it has {now} bytes, not {after}"))
        }
        _ => None,
    }
}
