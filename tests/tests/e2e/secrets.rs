//! A secret goes to its file, and is told nowhere else: not by what the recipe reads and runs, not by plans,
//! failures, rollbacks and recordings, nor by what tells of them.

use anyhow::{Context, Result, ensure};
use cerebro_model::Job;
use cerebro_tests::{Cluster, Options, canary, component};
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

const TOKEN: &str = "/opt/app/perch/token";

fn job() -> Result<Job> {
    Ok(serde_json::from_value(json!({
        "dns_basename": "app.startup.com",
        "deployment_recipe": "script",
        "deployment_layout": { "z-1": { "mem": 1, "count": 1 } },
        "task_configuration": { "name": "t", "command": "sleep 600", "cpu": 0.1, "mem": 50 },
        "grants": { "write": ["/opt/app"], "commands": ["/bin/cat *"], "secrets": [canary::NAME] },
        "rollout": { "deadline": 60 },
    }))?)
}

/// Puts the secret into a file and does its best to tell it.
fn steps(version: &str, more: Value) -> Value {
    let mut steps = vec![
        json!({"directory": ["/opt/app/perch", null]}),
        json!({"write": ["/opt/app/version", version, null]}),
        json!({"secret": [canary::NAME, TOKEN]}),
        json!({"read": TOKEN}),
        json!({"ask": ["/bin/cat", TOKEN]}),
    ];
    steps.extend(more.as_array().cloned().unwrap_or_default());
    Value::Array(steps)
}

/// What it said, none of which is the secret.
fn told(output: &Output, code: i32) -> Result<String> {
    let words = [&output.stdout, &output.stderr].map(|words| String::from_utf8_lossy(words));
    let words = words.concat();
    ensure!(!canary::is_told(&words), "the secret is told: {words}");
    ensure!(output.status.code() == Some(code), "{}: {words}", output.status);
    Ok(words)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_to_its_file_and_nowhere_else() -> Result<()> {
    let data = tempfile::tempdir()?;
    let options = Options { zones: vec!["z-1=1".to_owned()], ..Options::default() };
    let mut cluster = Cluster::start(data.path(), &options).await?;
    cluster.client.put_recipe(&"script".parse()?, component("script")?).await?;
    cluster.client.put_job(&job()?, None).await?;
    let deploy = |steps: &Value, more: &[&str]| {
        let steps = format!("steps={steps}");
        let deploy = ["deploy", "app.startup.com", "--set", &steps];
        cluster.try_cerebro(&[&deploy, more].concat())
    };

    told(&deploy(&steps("1", json!([])), &["--version", "1", "--follow"])?, 0)?;
    // It says what it reads there; where the secret stood is a blot.
    let bad = steps("2", json!([{"fail": "it had to be"}]));
    let plan = told(&deploy(&bad, &["--version", "2", "--plan"])?, 0)?;
    // It ends where the recipe would be told what a command wrote.
    ensure!(plan.contains("/opt/app/version") && plan.contains("exact up to here"), "{plan}");
    // What `cat` did nobody knows: it is taken back but for that.
    let words = told(&deploy(&bad, &["--version", "2", "--follow"])?, 8)?;
    ensure!(words.contains("it had to be"), "{words}");

    let deployments = cluster.client.deployments().await?;
    let failed = deployments.iter().find(|it| it.version.as_str() == "2");
    let failed = failed.context("the deployment is listed")?.id.to_string();
    let told_by = |arguments: &[&str]| told(&cluster.try_cerebro(arguments)?, 0);
    told_by(&["events"])?;
    ensure!(told_by(&["deployment", "show", &failed, "--diff"])?.contains(TOKEN));
    ensure!(told_by(&["why", "m-1", TOKEN])?.contains("app.startup.com"));
    told_by(&["drift", "m-1"])?;
    let out = data.path().join("recording");
    let path = out.to_str().context("the path is no text")?;
    told_by(&["deployment", "record", &failed, "0.z-1.app.startup.com", "--out", path])?;
    ensure!(fs::metadata(&out)?.len() > 0);
    // Then all that is on disk, and how its processes were started.
    cluster.stop();
    Ok(())
}
