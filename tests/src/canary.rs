//! A secret that every cluster under test has. When a cluster ends, the secret is searched for in all that
//! it did: what it wrote, what it tells, and how its processes were started.

use anyhow::{Context, Result, ensure};
use cerebro_api::Client;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Its name.
pub const NAME: &str = "canary.token";
/// It, which nobody else has.
const VALUE: &str = "k4nary/seeds+and a=perch";
/// How it might be told: as it is, as in a URL, and in base64, wherever it begins there.
const FORMS: [&str; 5] = [
    VALUE,
    "k4nary%2Fseeds%2Band",
    "azRuYXJ5L3NlZWRzK2FuZCBhPXBlcmNo",
    "s0bmFyeS9zZWVkcythbmQgYT1wZXJja",
    "rNG5hcnkvc2VlZHMrYW5kIGE9cGVyY2",
];
/// The only name of directories where it may be: where recipes put it, and where their journals keep
/// what they replaced.
pub const PERCHES: [&str; 2] = ["perch", "kept"];

/// Sets it.
pub async fn set(client: &Client) -> Result<()> {
    client.put_secret(&NAME.parse()?, VALUE.as_bytes().to_vec().try_into()?).await?;
    Ok(())
}

/// Whether `text` tells it.
pub fn is_told(text: &str) -> bool {
    FORMS.iter().any(|form| text.contains(form))
}

/// The files below `directory` that hold it, where it may not be.
pub fn in_files(directory: &Path) -> Result<Vec<String>> {
    let mut grep = Command::new("grep");
    grep.args(["--recursive", "--files-with-matches", "--fixed-strings", "--devices=skip"]);
    grep.args(PERCHES.map(|perch| format!("--exclude-dir={perch}")));
    grep.args(FORMS.iter().flat_map(|form| ["-e", form]));
    // What goes while it looks is none of its business.
    let ran = grep.arg(directory).stderr(Stdio::null()).output().context("cannot run `grep`")?;
    Ok(String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect())
}

/// It is neither in a file below `data`, nor on the command line of one of these processes.
pub fn search(data: &Path, processes: &[i32]) -> Result<()> {
    let found = in_files(data)?;
    ensure!(found.is_empty(), "the secret `{NAME}` is in {found:?}");
    for pid in processes {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        ensure!(!is_told(&line), "the secret `{NAME}` is on the command line of {pid}: {line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_wherever_it_may_not_be() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("log/fine", "canary.token was given");
        put("root/perch/token", VALUE);
        search(dir.path(), &[]).unwrap();
        for form in FORMS {
            put("log/bad", &format!("a line\0 with {form}!"));
            let error = search(dir.path(), &[]).unwrap_err().to_string();
            assert!(error.contains("log/bad") && !error.contains("perch/token"), "{error}");
        }
    }
}
