//! Users and groups of the machine, by name or number.

use crate::bindings::interfaces::types::Error;
use nix::unistd::{Gid, Group, Uid, User};

/// A user, with what a program that runs as it needs.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: Option<String>,
}

/// The user that `text` names. One that has a number only is its own group.
pub(super) fn user(text: &str) -> Result<Account, Error> {
    let number = text.parse::<u32>().ok();
    let found = match number {
        Some(uid) => User::from_uid(Uid::from_raw(uid)),
        None => User::from_name(text),
    };
    let found = found.map_err(|e| Error::Failed(format!("look up the user `{text}`: {e}")))?;
    match (found, number) {
        (Some(user), _) => Ok(Account {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir.to_str().map(str::to_owned),
        }),
        (None, Some(uid)) => Ok(Account { uid, gid: uid, home: None }),
        (None, None) => Err(Error::NotFound(format!("this machine has no user `{text}`"))),
    }
}

/// The number of the group that `text` names.
pub(super) fn group(text: &str) -> Result<u32, Error> {
    if let Ok(gid) = text.parse() {
        return Ok(gid);
    }
    let found = Group::from_name(text)
        .map_err(|e| Error::Failed(format!("look up the group `{text}`: {e}")))?;
    found
        .map(|group| Gid::as_raw(group.gid))
        .ok_or_else(|| Error::NotFound(format!("this machine has no group `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(user("root").unwrap().uid, 0);
        assert_eq!(user("4242424").unwrap().gid, 4_242_424);
        assert!(matches!(user("nobody-of-this-name"), Err(Error::NotFound(_))));
        assert_eq!(group("root").unwrap(), 0);
    }
}
