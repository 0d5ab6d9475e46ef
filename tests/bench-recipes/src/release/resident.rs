//! Cerebro as it is in use: an agent that is there already, and runs a component when it is told to.

use crate::call::Agentless;
use anyhow::{Context as _, Result};
use cerebro_model::{Digest, Grants, Options};
use cerebro_recipe_engine::{Call, Compiler, Engine, Journaling, Limits, LogLine};
use serde_json::json;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variable that has each release be journaled and recorded, as an agent does.
pub const JOURNAL: &str = "JOURNAL";

/// Makes the release once for each line of stdin, and answers with a line: `ok`, or what is wrong.
pub fn run(component: &Path) -> Result<()> {
    let of = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let state = PathBuf::from(of("STATE")?);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let engine = Engine::new(state.join("compiled"), Compiler::Here)?;
        let bytes = std::fs::read(component)?;
        let recipe = engine.compile(Digest::of(&bytes), bytes).await?;
        let (app, release, files) = (of("APP")?, of("RELEASE")?, of("FILES")?);
        let migrate = json!(["/bin/sh", format!("{release}/files/migrate.sh"), release]);
        let grants: Grants = serde_json::from_value(json!({
            "write": [app], "read": [files], "commands": [{ "argv": migrate }], "urls": [of("ARCHIVE_URL")?],
        }))?;
        let names = [
            "APP", "RELEASE", "VERSION", "OWNER", "GROUP", "FILES", "ARCHIVE_URL",
            "ARCHIVE_SHA256", "NAME", "PORT", "WORKERS", "DATABASE",
        ];
        let options = names.iter().map(|name| Ok(((*name).to_lowercase(), of(name)?.into())));
        let options: Options = options.collect::<Result<_>>()?;
        let agent = Arc::new(Agentless(state.join("artifacts")));
        let context = Arc::new(crate::call::context(0, options)?);
        let call = Call {
            context,
            grants: Arc::new(grants),
            root: PathBuf::from("/"),
            limits: Limits::default(),
            memory: state.join("memory"),
            agent,
            log: Arc::new(|line: LogLine| eprintln!("{}: {}", line.level, line.message)),
            journal: None,
        };
        let is_journaled = std::env::var(JOURNAL).is_ok();
        println!("ready");
        for (n, line) in std::io::stdin().lock().lines().enumerate() {
            line?;
            let directory = state.join("calls").join(n.to_string());
            let journal = is_journaled.then(|| Journaling::new(directory));
            match engine.deploy(&recipe, Call { journal, ..call.clone() }).await {
                Ok(()) => println!("ok"),
                Err(error) => println!("{}", error.to_string().replace('\n', " ")),
            }
            std::io::stdout().flush()?;
        }
        Ok(())
    })
}
