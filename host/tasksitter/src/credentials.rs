//! Whom a task runs as: looked up before the fork, taken on after it.

use cerebro_tasksitter::protocol::Credentials;
use nix::unistd::{Gid, Group, Uid, User};
use std::ffi::CString;
use std::io;

/// A user with its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// Its name, which is its number where it has none.
    pub name: String,
    /// Its home.
    pub home: String,
}

/// Looks up what is asked for; none if the sitter's own user is to stay.
pub fn find(wanted: &Credentials) -> io::Result<Option<Identity>> {
    let Credentials { user, group, groups, .. } = wanted;
    if user.is_none() && group.is_none() && groups.is_none() {
        return Ok(None);
    }
    let user = find_user(user.as_deref())?;
    let gid = group.as_deref().map_or(Ok(user.gid), find_group)?;
    let groups = match groups {
        Some(names) => names.iter().map(|name| find_group(name)).collect::<io::Result<_>>()?,
        None => member_of(&user, gid),
    };
    Ok(Some(Identity {
        uid: user.uid,
        gid,
        groups,
        home: user.dir.display().to_string(),
        name: user.name,
    }))
}

/// A number is taken as it is, with or without an entry in the user database.
fn find_user(user: Option<&str>) -> io::Result<User> {
    let id = match user {
        None => Some(nix::unistd::geteuid().as_raw()),
        Some(user) => user.parse().ok(),
    };
    let found = match (id, user) {
        (Some(id), _) => User::from_uid(id.into())?.or_else(|| {
            Some(User {
                name: id.to_string(),
                uid: id.into(),
                gid: id.into(),
                dir: "/".into(),
                shell: "/bin/sh".into(),
                passwd: c"".into(),
                gecos: c"".into(),
            })
        }),
        (None, Some(name)) => User::from_name(name)?,
        (None, None) => None,
    };
    found.ok_or_else(|| {
        let name = user.unwrap_or_default();
        io::Error::other(format!("this machine has no user `{name}`; see /etc/passwd"))
    })
}

fn find_group(group: &str) -> io::Result<Gid> {
    if let Ok(id) = group.parse::<u32>() {
        return Ok(id.into());
    }
    let found = Group::from_name(group)?.map(|group| group.gid);
    found.ok_or_else(|| {
        io::Error::other(format!("this machine has no group `{group}`; see /etc/group"))
    })
}

/// The groups that the user database gives it; its own alone if it has no entry there.
fn member_of(user: &User, gid: Gid) -> Vec<Gid> {
    let name = CString::new(user.name.as_str()).unwrap_or_default();
    nix::unistd::getgrouplist(&name, gid).unwrap_or_else(|_| vec![gid])
}

impl Identity {
    /// Its number.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Makes the calling process run as it. Async-signal-safe.
    ///
    /// By system calls: libc's functions change every thread of a process, and after a clone that it
    /// did not see, those that it knows are the parent's.
    pub fn assume(&self) -> io::Result<()> {
        let own = nix::unistd::geteuid();
        if !own.is_root() && own == self.uid && nix::unistd::getegid() == self.gid {
            return Ok(());
        }
        let (uid, gid) = (self.uid.as_raw(), self.gid.as_raw());
        // SAFETY: the array is valid for its length, and `Gid` is a `gid_t`; the others take no
        // pointers.
        unsafe {
            done(libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()))?;
            done(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
            done(libc::syscall(libc::SYS_setresuid, uid, uid, uid))
        }
    }
}

fn done(result: libc::c_long) -> io::Result<()> {
    nix::errno::Errno::result(result).map(drop).map_err(io::Error::from)
}
