//! `cerebro job`.

use super::read;
use crate::arguments::Job as Command;
use crate::fault::{ERROR, Fault};
use crate::output::{Output, table};
use cerebro_api::body::JobView;
use cerebro_api::{Client, jobfile};
use cerebro_model::JobName;
use std::io::{BufRead, IsTerminal};
use std::path::Path;

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::Apply { file } => apply(client, output, &file).await,
        Command::List => output.show(&client.jobs().await?, |jobs| {
            let row = |view: &JobView| {
                let job = &view.record.job;
                vec![
                    job.dns_basename.to_string(),
                    format!("{}/{}", view.healthy, view.wanted),
                    view.deployment.as_ref().map_or("-".to_owned(), |d| d.version.to_string()),
                    view.deployment
                        .as_ref()
                        .map_or("never deployed".to_owned(), |d| d.word().to_owned()),
                ]
            };
            table(
                &["JOB", "HEALTHY", "VERSION", "DEPLOYMENT"],
                &jobs.iter().map(row).collect::<Vec<_>>(),
            )
        }),
        Command::Describe { job } => output.show(&client.job(&job).await?, describe),
        Command::Delete { job, yes } => delete(client, &job, yes).await,
    }
}

async fn apply(client: &Client, output: Output, file: &Path) -> Result<(), Fault> {
    let bytes = read(file)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Fault::new(ERROR, format!("{} is not text: expected a job file in UTF-8", file.display()))
    })?;
    let job = jobfile::parse(&file.display().to_string(), &text)
        .map_err(|error| Fault::new(ERROR, error.to_string()))?;
    let before = match client.job(&job.dns_basename).await {
        Ok(view) => Some(view.record.revision),
        Err(error) if error.status() == Some(404) => None,
        Err(error) => return Err(error.into()),
    };
    let view = client.put_job(&job, before).await?;
    let what = match before {
        None => "created",
        Some(revision) if revision == view.record.revision => "unchanged",
        Some(_) => "changed",
    };
    output.show(&view, |view| {
        let head = format!("{} {what} (revision {})", job.dns_basename, view.record.revision);
        std::iter::once(head).chain(about_grants(view)).collect::<Vec<_>>().join("\n")
    })
}

fn describe(view: &JobView) -> String {
    let job = &view.record.job;
    let mut lines = vec![
        format!(
            "{} ({}), revision {}",
            job.dns_basename, job.task_configuration.name, view.record.revision
        ),
        format!("  {} of {} instances healthy", view.healthy, view.wanted),
        format!("  recipe {}", job.deployment_recipe),
        format!("  command {}", job.task_configuration.command),
    ];
    for (zone, layout) in &job.deployment_layout {
        let (cpu, mem) = job.reserves(zone);
        lines.push(format!("  {zone}: {} instances of {cpu} cores and {mem}", layout.instances()));
    }
    if let Some(deployment) = &view.deployment {
        let (id, version, state) = (&deployment.id, &deployment.version, deployment.word());
        lines.push(format!("  deployment {id} of {version}: {state}"));
    }
    lines.extend(view.problems.iter().map(|problem| format!("  problem: {problem}")));
    lines.extend(about_grants(view));
    lines.join("\n")
}

/// What to know of a job's grants before it is deployed.
fn about_grants(view: &JobView) -> Vec<String> {
    let mut lines: Vec<_> = view.unbounded.iter().map(|found| format!("  {found}")).collect();
    if !view.missing.is_empty() {
        lines.push(
            "  before it is deployed, add what its components may have of what they want:"
                .to_owned(),
        );
        lines.extend(view.missing.iter().map(|line| format!("  + {line}")));
    }
    lines
}

async fn delete(client: &Client, job: &JobName, yes: bool) -> Result<(), Fault> {
    if !yes {
        let hint = "--yes deletes without asking";
        if !std::io::stdin().is_terminal() {
            return Err(Fault::new(
                ERROR,
                format!("{job} was not deleted: nobody is there to confirm it"),
            )
            .hint(hint));
        }
        anstream::eprintln!(
            "Delete {job} of {} and end its instances? Type its name:",
            client.base()
        );
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        if read.is_err() || answer.trim() != job.as_str() {
            return Err(Fault::new(ERROR, format!("{job} was not deleted")).hint(hint));
        }
    }
    client.delete_job(job).await?;
    anstream::eprintln!("{job} deleted; its instances end");
    Ok(())
}
