//! From a command to a program and its arguments.

use std::path::{Path, PathBuf};

/// A command that asks nothing of a shell is run without one, as `make` does, so that the task is
/// the program itself. Its first word is taken from below `root`, if it is a path that exists there.
pub fn argv(root: Option<&Path>, command: &str) -> Vec<String> {
    let command = command.trim();
    let plain = |c: char| {
        c.is_alphanumeric()
            || matches!(c, ' ' | '\t' | '/' | '.' | '-' | '_' | ':' | ',' | '+' | '@')
    };
    let words: Vec<&str> = command.split_ascii_whitespace().collect();
    if let Some((program, arguments)) = words.split_first()
        && command.chars().all(plain)
        && (program.contains('/') || !BUILT_IN.contains(program))
    {
        let program =
            below(root, program).map_or((*program).to_owned(), |path| path.display().to_string());
        return std::iter::once(program)
            .chain(arguments.iter().map(|word| (*word).to_owned()))
            .collect();
    }
    let end = command.find(char::is_whitespace).unwrap_or(command.len());
    let (word, rest) = command.split_at(end);
    let command = match below(root, word) {
        Some(path) => format!("'{}'{rest}", path.display().to_string().replace('\'', r"'\''")),
        None => command.to_owned(),
    };
    vec!["/bin/sh".to_owned(), "-c".to_owned(), command]
}

/// Words that only a shell understands: POSIX, sections 2.4 and 2.15, and what every shell has.
const BUILT_IN: [&str; 27] = [
    ".", ":", "alias", "break", "case", "cd", "command", "continue", "eval", "exec", "exit",
    "export", "for", "if", "read", "readonly", "return", "set", "shift", "times", "trap", "type",
    "ulimit", "umask", "unset", "until", "while",
];

/// The path that `word` names below `root`, if it exists there.
pub fn below(root: Option<&Path>, word: &str) -> Option<PathBuf> {
    let path = root?.join(word.strip_prefix('/')?);
    path.exists().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_machine_is_taken_from_below_its_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("it's")).unwrap();
        std::fs::write(root.path().join("server"), "").unwrap();
        let of = |command| argv(Some(root.path()), command);
        let quoted = root.path().join("it'\\''s");
        let server = root.path().join("server").display().to_string();
        assert_eq!(of(" /it's -x /a")[2], format!("'{}' -x /a", quoted.display()));
        assert_eq!(of("/server -x /a"), [server.as_str(), "-x", "/a"]);
        assert_eq!(of("/server $PORT")[2], format!("'{server}' $PORT"));
        assert_eq!(of("/bin/missing -x"), ["/bin/missing", "-x"]);
    }

    #[test]
    fn a_shell_runs_only_what_needs_one() {
        for command in
            ["sleep 1 | cat", "cd /tmp", "exec sleep 1", "A=1 sleep 1", "echo $A", "echo 'a b'"]
        {
            assert_eq!(argv(None, command), ["/bin/sh", "-c", command]);
        }
        assert_eq!(argv(None, "sleep  1"), ["sleep", "1"]);
    }
}
