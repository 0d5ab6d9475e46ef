//! One question for each sort of attempt.

use super::denied::quoted;
use super::url::Parts;
use super::{CommandPattern, Denied, Grants, HostPattern, NamePattern};

impl Grants {
    /// Whether `path` (absolute, without `.` and `..`) may be read.
    pub fn read(&self, path: &str) -> Result<(), Denied> {
        let granted = self.read.iter().chain(&self.write).any(|pattern| pattern.covers(path));
        unless(granted, || Denied::new("read", format!("reading `{path}`"), quoted(path)))
    }

    /// Whether `path` (absolute, without `.` and `..`) may be written.
    pub fn write(&self, path: &str) -> Result<(), Denied> {
        let granted = self.write.iter().any(|pattern| pattern.covers(path));
        unless(granted, || Denied::new("write", format!("writing `{path}`"), quoted(path)))
    }

    /// Whether a command, a program by its absolute path (without `.` and `..`) and its arguments,
    /// may be run as `user`; as whoever runs the agent if that is left out.
    pub fn run(&self, argv: &[String], user: Option<&str>) -> Result<(), Denied> {
        let granted = self.commands.iter().any(|pattern| pattern.covers(argv, user));
        unless(granted, || {
            let program = argv.first().map_or("", String::as_str);
            let with = if argv.len() > 1 { " with these arguments" } else { "" };
            let who = user.map(|user| format!(" as `{user}`")).unwrap_or_default();
            let what = format!("running `{program}`{with}{who}");
            Denied::new("commands", what, CommandPattern::exact(argv, user))
        })
    }

    /// Whether `host`, a name or an address, may be connected to at `port`.
    pub fn connect(&self, host: &str, port: u16) -> Result<(), Denied> {
        let granted = self.hosts.iter().any(|pattern| pattern.covers(host, port));
        unless(granted, || {
            let target = HostPattern::exact(host, port).to_string();
            Denied::new("hosts", format!("connecting to `{target}`"), quoted(&target))
        })
    }

    /// Whether a host's name may be looked up: whether it may be connected to at some port.
    pub fn resolve(&self, host: &str) -> Result<(), Denied> {
        let granted = self.hosts.iter().any(|pattern| pattern.covers_host(host));
        let line = || quoted(&format!("{host}:*"));
        unless(granted, || Denied::new("hosts", format!("looking up `{host}`"), line()))
    }

    /// Whether `url` may be fetched.
    pub fn fetch(&self, url: &str) -> Result<(), Denied> {
        let parts = match Parts::parse(url) {
            Ok(parts) => parts,
            // It is not repeated: it may hold a password.
            Err(why) => return Err(Denied::never("urls", "fetching such a URL".to_owned(), why)),
        };
        let granted = self.urls.iter().any(|pattern| pattern.covers_parts(&parts));
        let page = parts.to_string();
        unless(granted, || Denied::new("urls", format!("fetching `{page}`"), quoted(&page)))
    }

    /// Whether a package may be installed, upgraded, held or removed.
    pub fn install(&self, package: &str) -> Result<(), Denied> {
        named(&self.packages, "packages", "changing the package", package)
    }

    /// Whether the lists of packages may be fetched anew: whether any package is granted.
    pub fn refresh_packages(&self) -> Result<(), Denied> {
        let what = "fetching the lists of packages without any package granted";
        let line = || quoted("NAME-OF-A-PACKAGE");
        unless(!self.packages.is_empty(), || Denied::new("packages", what.to_owned(), line()))
    }

    /// Whether a service may be started, stopped, reloaded, enabled or disabled.
    pub fn service(&self, name: &str) -> Result<(), Denied> {
        named(&self.services, "services", "changing the service", name)
    }

    /// Whether the definitions of services may be read anew: whether any service is granted.
    pub fn reload_services(&self) -> Result<(), Denied> {
        let what = "reading the definitions of services anew without any service granted";
        let line = || quoted("NAME-OF-A-SERVICE");
        unless(!self.services.is_empty(), || Denied::new("services", what.to_owned(), line()))
    }

    /// Whether a user may be made, changed or removed. A user with the number 0 is `root`.
    pub fn user(&self, name: &str) -> Result<(), Denied> {
        named(&self.users, "users", "changing the user", name)
    }

    /// Whether a group may be made, changed or removed, and users be put into it.
    pub fn group(&self, name: &str) -> Result<(), Denied> {
        named(&self.users, "users", "changing the group", name)
    }

    /// Whether a secret may be asked for.
    pub fn secret(&self, name: &str) -> Result<(), Denied> {
        let granted = self.secrets.iter().any(|own| own.as_str() == name);
        let what = || format!("the secret `{name}`");
        unless(granted, || Denied::new("secrets", what(), quoted(name)))
    }

    /// Whether a task of the machine, other than the instance's own, may be looked at, signalled and
    /// started again.
    pub fn task(&self, name: &str) -> Result<(), Denied> {
        named(&self.tasks, "tasks", "touching the task", name)
    }
}

fn named(
    patterns: &[NamePattern],
    key: &'static str,
    doing: &str,
    name: &str,
) -> Result<(), Denied> {
    if patterns.iter().any(|pattern| pattern.covers(name)) {
        return Ok(());
    }
    let what = format!("{doing} `{name}`");
    Err(match NamePattern::try_from(name.to_owned()) {
        Ok(_) => Denied::new(key, what, quoted(name)),
        Err(_) => Denied::never(key, what, "it is no name of such a thing"),
    })
}

fn unless(granted: bool, denied: impl FnOnce() -> Denied) -> Result<(), Denied> {
    if granted { Ok(()) } else { Err(denied()) }
}
