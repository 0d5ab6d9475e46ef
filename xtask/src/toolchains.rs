//! What the examples in other languages are built with, in `target/tools`: installed where it is
//! missing, by the packages' ordinary clients.

use crate::shell::{output, run};
use crate::{build, packages};
use anyhow::{Context, Result};
use cerebro_model::Digest;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The generator of bindings for C and Go.
const WIT_BINDGEN: &str = "0.63.0";
/// Crates of which only files are used: Go's part of the bindings, and the adapter that makes a
/// component of a module for WASI 0.1.
const SOURCES: &str = r#"[package]
name = "sources"
version = "0.0.0"
edition = "2024"

[lib]
path = "lib.rs"

[dependencies]
wasi-preview1-component-adapter-provider = "=48.0.8"
wit-bindgen-go = { version = "=0.63.0", default-features = false }

[workspace]
"#;

/// Where everything is.
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// Installs what `languages` need.
    pub fn install(languages: &[&str]) -> Result<Self> {
        let tools = Self { root: cerebro_tests::root().join("target/tools") };
        fs::create_dir_all(&tools.root)?;
        let needs = |some: &[&str]| languages.iter().any(|language| some.contains(language));
        if needs(&["rust"]) {
            build::install_targets(&["wasm32-wasip2"])?;
        }
        if needs(&["js"]) {
            let node = [("nodejs", "/usr/bin/node"), ("npm", "/usr/bin/npm")];
            packages::install(&node, "the examples in JavaScript")?;
        }
        if needs(&["python", "c", "go"]) {
            tools.install_python_packages()?;
        }
        if needs(&["c", "go"]) {
            tools.install_wit_bindgen()?;
        }
        if needs(&["go"]) {
            tools.fetch_sources()?;
        }
        Ok(tools)
    }

    fn python(&self) -> PathBuf {
        self.root.join("python")
    }

    /// Compilers that come as Python packages, in an environment of their own.
    fn install_python_packages(&self) -> Result<()> {
        let lists = ["python", "c", "go"].map(|name| format!("examples/{name}/requirements.txt"));
        let mut wanted = String::new();
        for list in &lists {
            let path = cerebro_tests::root().join(list);
            let read = fs::read_to_string(&path);
            wanted += &read.with_context(|| format!("cannot read {}", path.display()))?;
        }
        let mark = self.root.join("python.installed");
        if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        run("python3", &["-m", "venv", "--clear", &text(&self.python())])?;
        let mut arguments = vec!["install", "--quiet"];
        arguments.extend(lists.iter().flat_map(|list| ["--requirement", list]));
        run(&text(&self.python().join("bin/pip")), &arguments)?;
        fs::write(&mark, wanted)?;
        Ok(())
    }

    fn install_wit_bindgen(&self) -> Result<()> {
        let program = text(&self.root.join("bin/wit-bindgen"));
        if output(&program, &["--version"]).is_ok_and(|version| version.contains(WIT_BINDGEN)) {
            return Ok(());
        }
        // It runs for moments: not worth the time to optimise it.
        let (arguments, root) =
            (["install", "wit-bindgen-cli", "--locked", "--debug"], text(&self.root));
        let features = ["--no-default-features", "--features", "c,go"];
        let place = ["--version", WIT_BINDGEN, "--root", &root];
        run("cargo", &[&arguments[..], &features, &place].concat())
    }

    fn fetch_sources(&self) -> Result<()> {
        let dir = self.root.join("sources");
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("lib.rs"), "")?;
        fs::write(dir.join("Cargo.toml"), SOURCES)?;
        let manifest = text(&dir.join("Cargo.toml"));
        let arguments =
            ["metadata", "--format-version", "1", "--manifest-path", &manifest, "--quiet"];
        let metadata: serde_json::Value = serde_json::from_str(&output("cargo", &arguments)?)?;
        for (package, path, link) in [
            ("wit-bindgen-go", "src/pkg", "go-pkg"),
            (
                "wasi-preview1-component-adapter-provider",
                "artefacts/wasi_snapshot_preview1.reactor.wasm",
                "wasi_snapshot_preview1.reactor.wasm",
            ),
        ] {
            let mut all = metadata["packages"].as_array().into_iter().flatten();
            let found = all.find(|found| found["name"] == package);
            let manifest = found.and_then(|found| found["manifest_path"].as_str());
            let manifest = manifest.with_context(|| format!("cargo does not have `{package}`"))?;
            let target = Path::new(manifest).with_file_name(path);
            let link = self.root.join(link);
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&target, &link)
                .with_context(|| format!("cannot make {}", link.display()))?;
        }
        Ok(())
    }

    /// The variables that let the examples' own scripts find it all.
    pub fn variables(&self) -> Result<Vec<(&'static str, OsString)>> {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let own = [self.root.join("bin"), self.python().join("bin")];
        let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&old)))?;
        Ok(vec![
            ("PATH", path),
            ("CARGO_TARGET_DIR", cerebro_tests::root().join("target/examples").into()),
            ("WASI_ADAPTER", self.root.join("wasi_snapshot_preview1.reactor.wasm").into()),
            ("GO_PKG", self.root.join("go-pkg").into()),
            // All that is needed is here: what is not must fail at once.
            ("GOPROXY", "off".into()),
            ("GOTOOLCHAIN", "local".into()),
        ])
    }

    /// What tells these tools from others.
    pub fn digest(&self) -> Digest {
        let wanted = fs::read(self.root.join("python.installed")).unwrap_or_default();
        Digest::of(&[wanted.as_slice(), WIT_BINDGEN.as_bytes(), SOURCES.as_bytes()].concat())
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
