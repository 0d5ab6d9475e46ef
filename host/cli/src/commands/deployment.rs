//! `cerebro deployment`.

use super::{effects, rollback};
use crate::arguments::Deployment as Command;
use crate::fault::{CONFLICT, ERROR, Fault};
use crate::output::{Output, table};
use crate::style::{Tone, diff, paint, printable};
use cerebro_api::Client;
use cerebro_api::call::{CallReport, CallState, EffectReport};
use cerebro_api::deployment::DeploymentCalls;
use cerebro_model::{Deployment, DeploymentId, DeploymentState, InstanceId};
use futures::StreamExt;
use std::io::{ErrorKind, Write};
use std::path::Path;

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::List => output.show(&client.deployments().await?, |all| {
            let row = |it: &Deployment| {
                vec![
                    it.id.to_string(),
                    it.job_name().to_string(),
                    it.version.to_string(),
                    it.state.word().to_owned(),
                    it.created_at.to_string(),
                    it.rolls_back.as_ref().map_or("-".to_owned(), ToString::to_string),
                ]
            };
            let heads = ["DEPLOYMENT", "JOB", "VERSION", "STATE", "BEGUN", "ROLLS BACK"];
            table(&heads, &all.iter().map(row).collect::<Vec<_>>())
        }),
        Command::Show { id, diff } => {
            let told = client.deployment_calls(&id).await?;
            let by = client.deployments().await?;
            let by = by.into_iter().find(|it| it.rolls_back.as_ref() == Some(&id));
            output.show(&told, |told| describe(told, by.as_ref(), diff))
        }
        Command::Rollback { id, follow } => {
            rollback::of_deployment(client, output, &id, follow).await
        }
        Command::Record { id, instance, out } => record(client, &id, &instance, &out).await,
    }
}

/// Saves a recording; one that breaks off is removed again.
async fn record(
    client: &Client,
    id: &DeploymentId,
    instance: &InstanceId,
    out: &Path,
) -> Result<(), Fault> {
    let mut pieces = client.recording(id, instance).await?;
    let cannot = |error: std::io::Error| {
        let code = if error.kind() == ErrorKind::AlreadyExists { CONFLICT } else { ERROR };
        Fault::new(code, format!("cannot write {}: {error}", out.display()))
    };
    let mut file = std::fs::File::create_new(out).map_err(cannot)?;
    let mut size = 0;
    let saved = async {
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            file.write_all(&piece).map_err(cannot)?;
            size += piece.len();
        }
        Ok::<_, Fault>(())
    };
    if let Err(fault) = saved.await {
        // Half of one cannot be run; that it could not be had is what matters.
        let _ = std::fs::remove_file(out);
        return Err(fault);
    }
    anstream::eprintln!("{} holds what {id} did for {instance}, {size} bytes", out.display());
    Ok(())
}

fn describe(told: &DeploymentCalls, by: Option<&Deployment>, diffs: bool) -> String {
    let it = &told.deployment;
    let head = format!("{} of {} to {}", it.id, it.job_name(), it.version);
    let state = paint(tone(&it.state), it.state.word());
    let mut text = format!("{}: {state}", paint(Tone::Strong, &head));
    match &it.state {
        DeploymentState::Failed { reason, .. } => {
            let reason: String =
                reason.lines().map(|line| format!("\n  {}", printable(line))).collect();
            text.push_str(&reason);
        }
        DeploymentState::Superseded { by } => text.push_str(&format!(" by {by}")),
        _ => {}
    }
    text.push_str(&format!("\n  begun {}", it.created_at));
    if let Some(undone) = &it.rolls_back {
        text.push_str(&format!("\n  rolls {undone} back"));
    }
    if let Some(by) = by {
        text.push_str(&format!("\n  rolled back by {}, which {}", by.id, words(&by.state)));
    }
    for call in &told.calls {
        text.push_str(&format!("\n\n{}", describe_call(call, diffs)));
    }
    if told.calls.is_empty() && told.silent.is_empty() {
        text.push_str("\n  no instance that is there now keeps anything of what it did");
    }
    for it in &told.silent {
        let error = paint(Tone::Removed, "error:");
        text.push_str(&format!("\n\n{error} {}: {}", it.instance, printable(&it.why)));
    }
    text
}

fn tone(state: &DeploymentState) -> Tone {
    match state {
        DeploymentState::Succeeded { .. } => Tone::Added,
        DeploymentState::Failed { .. } => Tone::Removed,
        DeploymentState::Running => Tone::Changed,
        DeploymentState::Superseded { .. } => Tone::Faint,
    }
}

fn words(state: &DeploymentState) -> &'static str {
    match state {
        DeploymentState::Running => "goes on",
        DeploymentState::Superseded { .. } => "was superseded",
        _ => state.word(),
    }
}

fn describe_call(call: &CallReport, diffs: bool) -> String {
    let state = match call.state {
        CallState::Open => "under way, or cut off",
        CallState::Succeeded => "succeeded",
        CallState::Failed => "failed, and left as it is",
        CallState::RolledBack => "rolled back",
    };
    let component = call.component.get(..12).unwrap_or(&call.component);
    let about = format!("(try {}, component {component})", call.attempt);
    let name = paint(Tone::Strong, call.instance.as_str());
    let mut text = format!("{name}: {state} {}", paint(Tone::Faint, &about));
    if let Some(error) = &call.error {
        text.extend(error.lines().map(|line| format!("\n  {}", printable(line))));
    }
    if let Some(torn) = &call.torn {
        text.push_str(&format!("\n  its journal is not whole: {}", printable(torn)));
    }
    if call.effects.is_empty() {
        text.push_str("\n  it changed nothing");
        return text;
    }
    let row = |it: &EffectReport| {
        let at = it.at.to_string();
        let details = effects::details(&it.effect, it.diff.is_some());
        #[allow(clippy::cast_precision_loss, reason = "a digit after the point is told")]
        let took = it.took.map(|micros| format!("{:.1} ms", micros as f64 / 1000.0));
        vec![
            at.get(11..23).unwrap_or(&at).to_owned(),
            format!("#{}", it.n),
            format!("{} {details}", effects::action(&it.effect)).trim_end().to_owned(),
            if it.call == 0 { "end".to_owned() } else { it.call.to_string() },
            took.unwrap_or("-".to_owned()),
            outcome(it),
        ]
    };
    let rows: Vec<_> = call.effects.iter().map(row).collect();
    let lines = table(&["TIME", "#", "EFFECT", "CALL", "TOOK", "OUTCOME"], &rows);
    let shown = std::iter::once(None).chain(call.effects.iter().map(Some));
    for (line, effect) in lines.lines().zip(shown) {
        text.push_str(&format!("\n  {line}"));
        if let Some(changed) = effect.and_then(|effect| effect.diff.as_deref()).filter(|_| diffs) {
            text.push_str(&diff(changed, "      "));
        }
    }
    text
}

/// What became of an effect.
fn outcome(effect: &EffectReport) -> String {
    match (effect.undone, &effect.kept, &effect.error) {
        (true, _, _) => "undone".to_owned(),
        (_, Some(why), _) => printable(&format!("kept: {why}")),
        (_, _, Some(why)) => printable(&format!("failed: {why}")),
        _ => "done".to_owned(),
    }
}
