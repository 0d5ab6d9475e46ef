//! User data for an instance that is about to be made: cloud-init sets it up by itself.
//!
//! User data stays readable, to whoever may ask the cloud for it and on the instance. So the only secret in it is the
//! token to join with, which is worth nothing once it was used, or after a while.

use crate::files::{BIN, GET, JOIN_TOKEN, SERVICE, START, UNIT, UNIT_TEXT, start};
use crate::quote::{shell, yaml};
use crate::setup::{Program, ProgramName, Setup, Source};

/// What EC2 takes, before it is encoded; others take more.
pub const LARGEST: usize = 16 << 10;

/// How often a program is asked for before it is given up: five seconds apart, so for five minutes.
const TRIES: u32 = 60;

/// Why there is no user data for a setup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserDataError {
    /// It does not fit.
    #[error(
        "the user data would have {0} bytes, and {LARGEST} is the most that an instance is given: shorten the URLs"
    )]
    TooLarge(usize),
    /// A program that the instance cannot fetch.
    #[error(
        "`{0}` is to be sent over SSH: an instance that sets itself up fetches it, so give its URL"
    )]
    NotFetched(ProgramName),
}

/// User data that sets up an agent at an instance's first start: `#cloud-config`.
pub fn user_data(setup: &Setup) -> Result<String, UserDataError> {
    let install = install(&setup.programs)?;
    let files = [
        (JOIN_TOKEN, "0600", setup.join_token.reveal()),
        (START, "0700", &start(setup)),
        (UNIT, "0644", UNIT_TEXT),
        (INSTALL, "0700", &install),
    ];
    let mut text = "#cloud-config\nwrite_files:\n".to_owned();
    for (path, mode, content) in files {
        text.push_str(&format!(
            "- path: {path}\n  permissions: '{mode}'\n  content: {}\n",
            yaml(content)
        ));
    }
    text.push_str(&format!("runcmd:\n- [/bin/sh, {INSTALL}]\n"));
    match text.len() {
        0..=LARGEST => Ok(text),
        length => Err(UserDataError::TooLarge(length)),
    }
}

/// Where the script lies that fetches the programs and starts the agent.
const INSTALL: &str = "/etc/cerebro/install";

fn install(programs: &[Program]) -> Result<String, UserDataError> {
    let mut script = format!("set -eu\nmkdir -p {BIN}\ncd {BIN}\n{GET}");
    for Program { name, digest, source, .. } in programs {
        let Source::Url(url) = source else {
            return Err(UserDataError::NotFetched(name.clone()));
        };
        script.push_str(&format!("get {name} {} {digest} {TRIES}\n", shell(url)));
    }
    script.push_str(&format!("systemctl daemon-reload\nsystemctl enable --now {SERVICE}\n"));
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tests::{program, setup};
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Read {
        write_files: Vec<File>,
        runcmd: Vec<Vec<String>>,
    }

    #[derive(Debug, Deserialize)]
    struct File {
        path: String,
        permissions: String,
        content: String,
    }

    fn read(text: &str) -> Read {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn it_is_small_and_its_one_secret_is_the_token() {
        let text = user_data(&setup("0123456789abcdef0123456789abcdef")).unwrap();
        assert!(text.starts_with("#cloud-config\n"));
        assert!(text.len() < 2600, "{} bytes:\n{text}", text.len());
        assert_eq!(text.matches("0123456789abcdef0123456789abcdef").count(), 1);
        let read = read(&text);
        assert_eq!(read.runcmd, [["/bin/sh", "/etc/cerebro/install"]]);
        let token = &read.write_files[0];
        assert_eq!((token.path.as_str(), token.permissions.as_str()), (JOIN_TOKEN, "0600"));
    }

    #[test]
    fn what_cannot_be_in_user_data_is_refused() {
        let mut with_file = setup("t");
        with_file.programs[1].source = Source::File("/tmp/a".into());
        let name = "tasksitter".parse().unwrap();
        assert_eq!(user_data(&with_file), Err(UserDataError::NotFetched(name)));
        let mut large = setup("t");
        large.programs = (0..200).map(|n| program(&format!("program-{n}"))).collect();
        assert!(matches!(user_data(&large), Err(UserDataError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn no_token_and_no_url_breaks_out(token in any::<String>(), url in "[^\0]*") {
            let mut setup = setup(&token);
            setup.programs[0].source = Source::Url(url.clone());
            let Ok(text) = user_data(&setup) else { return Ok(()) };
            let read = read(&text);
            prop_assert_eq!(read.write_files.len(), 4);
            prop_assert_eq!(read.runcmd.len(), 1);
            prop_assert_eq!(&read.write_files[0].content, &token);
            prop_assert_eq!(&read.write_files[2].content, UNIT_TEXT);
            let line = format!("get machinesitter {} ", shell(&url));
            prop_assert!(read.write_files[3].content.contains(&line));
        }
    }
}
