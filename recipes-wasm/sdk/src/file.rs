//! Files and directories, step by step.

use crate::Host;
use crate::error::Doing;
use crate::host::files::{Attributes, Owner};
use crate::host::types::Change;

/// Bytes of a file that is edited.
const LARGEST: u64 = 4 << 20;

/// A file as it should be. What it changed is told to the log.
///
/// ```
/// use cerebro_recipe::{FakeHost, File, edit};
/// # fn main() -> Result<(), String> {
/// let host = FakeHost::new().with_directory("/etc");
/// File::new("/etc/app.ini").mode(0o640).owner("app").write(&host, "[server]\n")?;
/// File::new("/etc/app.ini").edit(&host, |text| edit::ini_set(text, "server", "port", "80"))?;
/// assert_eq!(host.text("/etc/app.ini"), "[server]\nport = 80\n");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it is made so when it is told to: `write` or `edit`"]
pub struct File {
    path: String,
    attributes: Attributes,
}

/// A directory as it should be. What it changed is told to the log.
#[derive(Debug, Clone)]
#[must_use = "it is made so when it is told to: `make`"]
pub struct Directory {
    path: String,
    attributes: Attributes,
}

macro_rules! attributes {
    ($($of:ident)*) => {$(
        impl $of {
            /// By its absolute path. Mode and owner stay as they are; a new one belongs to the
            /// agent's user.
            pub fn new(path: impl Into<String>) -> Self {
                Self { path: path.into(), attributes: Attributes { mode: None, owner: None } }
            }

            /// Its permission bits.
            pub fn mode(self, mode: u32) -> Self {
                self.mode_as(Some(mode))
            }

            /// Its permission bits, if there are any.
            pub fn mode_as(mut self, mode: Option<u32>) -> Self {
                self.attributes.mode = mode;
                self
            }

            /// The user that it belongs to, by name or number, and that user's group.
            pub fn owner(self, user: impl Into<String>) -> Self {
                self.owner_as(Some(Owner { user: user.into(), group: None }))
            }

            /// The user that it belongs to, if there is one.
            pub fn owner_if(self, user: Option<&str>) -> Self {
                let owner = |user: &str| Owner { user: user.to_owned(), group: None };
                self.owner_as(user.map(owner))
            }

            /// The user and group that it belongs to, if there are any.
            pub fn owner_as(mut self, owner: Option<Owner>) -> Self {
                self.attributes.owner = owner;
                self
            }

            fn done(&self, host: &impl Host, change: Change) -> Change {
                if change != Change::Unchanged {
                    host.say(&format!("`{}`: {change}", self.path));
                }
                change
            }
        }
    )*};
}

attributes!(File Directory);

impl File {
    /// Has it hold this content.
    pub fn write(&self, host: &impl Host, content: impl AsRef<[u8]>) -> Result<Change, String> {
        let written = host.write(&self.path, content.as_ref(), &self.attributes);
        written.doing(|| format!("write `{}`", self.path)).map(|change| self.done(host, change))
    }

    /// Reads it as text (an empty one if it is not there), edits that, and writes it once, unless
    /// nothing changed. An edit gives a text, or a `Result` of one.
    pub fn edit<E: Edited>(
        &self,
        host: &impl Host,
        edit: impl FnOnce(&str) -> E,
    ) -> Result<Change, String> {
        let path = &self.path;
        let there = host.stat(path).doing(|| format!("look at `{path}`"))?.is_some();
        let old = match there {
            true => host.read(path, LARGEST).doing(|| format!("read `{path}`"))?,
            false => Vec::new(),
        };
        let old = String::from_utf8(old).map_err(|_| format!("`{path}` is not UTF-8 text"))?;
        let new = edit(&old).text().map_err(|why| format!("edit `{path}`: {why}"))?;
        if !there || new != old || self.attributes != (Attributes { mode: None, owner: None }) {
            return self.write(host, new);
        }
        Ok(Change::Unchanged)
    }
}

impl Directory {
    /// Has it be there, with those above it.
    pub fn make(&self, host: &impl Host) -> Result<Change, String> {
        let made = host.directory(&self.path, &self.attributes);
        made.doing(|| format!("make `{}`", self.path)).map(|change| self.done(host, change))
    }
}

/// What an edit gives.
pub trait Edited {
    /// The new text, or why there is none.
    fn text(self) -> Result<String, String>;
}

impl Edited for String {
    fn text(self) -> Result<String, String> {
        Ok(self)
    }
}

impl Edited for Result<String, String> {
    fn text(self) -> Result<String, String> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FakeHost, edit};

    #[test]
    fn an_edit_writes_once_or_not_at_all() {
        let host = FakeHost::new().with_file("/etc/hosts", "10.0.0.4 a\n");
        let add = |host: &FakeHost| {
            File::new("/etc/hosts").edit(host, |text| edit::line_present(text, "10.0.0.5 db"))
        };
        assert_eq!(add(&host), Ok(Change::Updated));
        assert_eq!(add(&host), Ok(Change::Unchanged));
        assert_eq!(host.text("/etc/hosts"), "10.0.0.4 a\n10.0.0.5 db\n");
        assert_eq!(host.calls(), ["write /etc/hosts"]);
        assert_eq!(host.lines(), ["`/etc/hosts`: updated"]);
        let error = File::new("/etc/hosts").edit(&host, |_| Err("no".to_owned())).unwrap_err();
        assert_eq!(error, "edit `/etc/hosts`: no");
    }

    #[test]
    fn mode_and_owner_are_kept_unless_they_are_named() {
        let host = FakeHost::new();
        let owner = Owner { user: "app".to_owned(), group: Some("www".to_owned()) };
        let directory = Directory::new("/srv/app").mode(0o750).owner_as(Some(owner));
        assert_eq!(directory.make(&host), Ok(Change::Created));
        assert_eq!(directory.make(&host), Ok(Change::Unchanged));
        assert_eq!((host.mode("/srv/app"), host.owner("/srv/app").as_str()), (0o750, "app:www"));
        assert_eq!(Directory::new("/srv/app").make(&host), Ok(Change::Unchanged));
        assert_eq!(Directory::new("/srv/app").mode(0o700).make(&host), Ok(Change::Updated));
        let missing = File::new("/srv/b/file").owner_if(None).write(&host, "").unwrap_err();
        assert!(missing.contains("/srv/b"), "{missing}");
    }
}
