//! Users and groups: useradd(8), usermod(8), userdel(8), groupadd(8), groupmod(8) and groupdel(8).

use super::{Argv, argv};
use crate::bindings::interfaces::types::Error;
use crate::bindings::interfaces::users::{Spec, User};

/// Where the tools lie that change users.
pub(crate) const TOOLS: &str = "/usr/sbin";

fn tool(name: &str) -> String {
    format!("{TOOLS}/{name}")
}

/// What makes a user as it should be; nothing if it is. `first` is the number of the group that is to
/// be the first.
pub(crate) fn ensure(spec: &Spec, is: Option<&User>, first: Option<u32>) -> Option<Argv> {
    let Some(is) = is else { return Some(add(spec)) };
    let mut words = Vec::new();
    let mut put = |option: &str, value: String| words.extend([option.to_owned(), value]);
    if let Some(uid) = spec.uid.filter(|uid| *uid != is.uid) {
        put("--uid", uid.to_string());
    }
    if let (Some(group), Some(first)) = (&spec.group, first)
        && first != is.gid
    {
        put("--gid", group.clone());
    }
    if let Some(groups) = &spec.groups {
        // The first group is among those that it has, whether it is asked for or not.
        let mut wanted: Vec<&String> = groups.iter().collect();
        wanted.sort();
        wanted.dedup();
        let has = is.groups.iter().all(|group| wanted.contains(&group) || is_first(is, group));
        if !has || !wanted.iter().all(|group| is.groups.contains(group)) {
            put("--groups", groups.join(","));
        }
    }
    if let Some(home) = spec.home.as_ref().filter(|home| **home != is.home) {
        // Only the entry: what is in it stays where it is.
        put("--home", home.clone());
    }
    if let Some(shell) = spec.shell.as_ref().filter(|shell| **shell != is.shell) {
        put("--shell", shell.clone());
    }
    if words.is_empty() {
        return None;
    }
    words.extend(["--".to_owned(), spec.name.clone()]);
    Some(std::iter::once(tool("usermod")).chain(words).collect())
}

/// Whether this is the user's own first group, as `useradd` makes one of the same name.
fn is_first(is: &User, group: &str) -> bool {
    is.name == group
}

fn add(spec: &Spec) -> Argv {
    let mut words = vec![tool("useradd")];
    let mut put = |option: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([option.to_owned(), value]);
        }
    };
    put("--uid", spec.uid.map(|uid| uid.to_string()));
    put("--gid", spec.group.clone());
    put("--groups", spec.groups.as_ref().filter(|all| !all.is_empty()).map(|all| all.join(",")));
    put("--home-dir", spec.home.clone());
    put("--shell", spec.shell.clone());
    words.push(if spec.create_home { "--create-home" } else { "--no-create-home" }.to_owned());
    if spec.system {
        words.push("--system".to_owned());
    }
    words.extend(["--".to_owned(), spec.name.clone()]);
    words
}

/// What makes a group as it should be; nothing if it is.
pub(crate) fn ensure_group(
    name: &str,
    gid: Option<u32>,
    system: bool,
    is: Option<u32>,
) -> Option<Argv> {
    let number = gid.map(|gid| gid.to_string());
    let numbered = number.as_deref().map(|number| ["--gid", number]);
    match is {
        Some(is) if gid.is_none_or(|gid| gid == is) => None,
        Some(_) => {
            let words = numbered.into_iter().flatten().chain(["--", name]);
            Some(argv(&[&tool("groupmod")], words))
        }
        None => {
            let system = system.then_some("--system");
            let words = numbered.into_iter().flatten().chain(system).chain(["--", name]);
            Some(argv(&[&tool("groupadd")], words))
        }
    }
}

pub(crate) fn remove(name: &str) -> Argv {
    argv(&[&tool("userdel"), "--"], [name])
}

pub(crate) fn remove_group(name: &str) -> Argv {
    argv(&[&tool("groupdel"), "--"], [name])
}

/// Refuses what is no name of a user or group: see useradd(8), CAVEATS.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.len() <= 32
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
    match is_name {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "`{name}` is no name of a user or group: expected up to 32 lower-case letters, digits, \
             `-` and `_`, not beginning with a digit or `-`"
        ))),
    }
}

/// Refuses what would break the line of /etc/passwd, or is none.
pub(crate) fn check(spec: &Spec) -> Result<(), Error> {
    check_name(&spec.name)?;
    for group in spec.groups.iter().flatten() {
        check_name(group)?;
    }
    if let Some(group) = spec.group.as_ref().filter(|group| group.parse::<u32>().is_err()) {
        check_name(group)?;
    }
    for path in spec.home.iter().chain(&spec.shell) {
        let is_path = path.starts_with('/') && !path.contains([':', '\n', '\0']);
        if !is_path {
            return Err(Error::Invalid(format!("`{path}` is not an absolute path without `:`")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            name: "app".to_owned(),
            uid: None,
            group: None,
            groups: None,
            home: None,
            create_home: false,
            shell: None,
            system: true,
        }
    }

    fn user() -> User {
        User {
            name: "app".to_owned(),
            uid: 900,
            gid: 900,
            home: "/home/app".to_owned(),
            shell: "/bin/sh".to_owned(),
            groups: vec!["app".to_owned(), "web".to_owned()],
        }
    }

    #[test]
    fn a_new_user_gets_all_at_once() {
        let spec = Spec { uid: Some(901), groups: Some(vec!["web".to_owned()]), ..spec() };
        let words = ensure(&spec, None, None).unwrap().join(" ");
        let expected = "/usr/sbin/useradd --uid 901 --groups web --no-create-home --system -- app";
        assert_eq!(words, expected);
    }

    #[test]
    fn only_what_differs_is_changed() {
        let with = |change: &dyn Fn(&mut Spec)| {
            let mut spec = spec();
            change(&mut spec);
            ensure(&spec, Some(&user()), Some(900)).map(|argv| argv[1..].join(" "))
        };
        assert_eq!(with(&|_| ()), None);
        assert_eq!(with(&|spec| spec.uid = Some(900)), None);
        assert_eq!(with(&|spec| spec.group = Some("app".to_owned())), None);
        assert_eq!(with(&|spec| spec.groups = Some(vec!["web".to_owned()])), None);
        let more = with(&|spec| spec.groups = Some(vec!["web".to_owned(), "adm".to_owned()]));
        assert_eq!(more.unwrap(), "--groups web,adm -- app");
        let none = with(&|spec| spec.groups = Some(Vec::new()));
        assert_eq!(none.unwrap(), "--groups  -- app");
        let shell = with(&|spec| spec.shell = Some("/bin/bash".to_owned()));
        assert_eq!(shell.unwrap(), "--shell /bin/bash -- app");
    }

    #[test]
    fn groups_are_made_and_renumbered() {
        assert_eq!(ensure_group("web", None, false, Some(7)), None);
        let add = ensure_group("web", Some(70), true, None).unwrap().join(" ");
        assert_eq!(add, "/usr/sbin/groupadd --gid 70 --system -- web");
        let change = ensure_group("web", Some(70), true, Some(7)).unwrap().join(" ");
        assert_eq!(change, "/usr/sbin/groupmod --gid 70 -- web");
    }

    #[test]
    fn what_would_break_a_line_is_refused() {
        for name in ["", "-a", "a:b", "a\nb", "A", "1a", "a b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check(&Spec { home: Some("/a:b".to_owned()), ..spec() }).is_err());
        assert!(check(&Spec { shell: Some("sh".to_owned()), ..spec() }).is_err());
        assert!(check(&Spec { groups: Some(vec!["x,y".to_owned()]), ..spec() }).is_err());
        assert!(check(&Spec { group: Some("1000".to_owned()), ..spec() }).is_ok());
    }
}
