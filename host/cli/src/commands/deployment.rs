//! `cerebro deployment`.

use super::{effects, rollback};
use crate::arguments::{Deployment as Command, Record};
use crate::fault::{CONFLICT, ERROR, Fault};
use crate::output::{Output, table};
use crate::style::{Tone, diff, paint, printable};
use cerebro_api::Client;
use cerebro_api::body::PauseDeploymentRequest;
use cerebro_api::bundle::{self, About};
use cerebro_api::call::{CallReport, CallState, EffectReport, Wanted};
use cerebro_api::deployment::DeploymentCalls;
use cerebro_api::explain::DecisionSummary;
use cerebro_model::{CanaryStage, Deployment, DeploymentState, Timestamp};
use futures::StreamExt;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Looks at a job among which those are looked for that are about one deployment.
const LOOKS: usize = 200;
/// Decisions that are named of a deployment, the last ones.
const NAMED: usize = 6;

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::List => output.show(&client.deployments().await?, |all| {
            let row = |it: &Deployment| {
                vec![
                    it.id.to_string(),
                    it.job_name().to_string(),
                    it.version.to_string(),
                    it.word().to_owned(),
                    it.created_at.to_string(),
                    it.rolls_back.as_ref().map_or("-".to_owned(), ToString::to_string),
                ]
            };
            let heads = ["DEPLOYMENT", "JOB", "VERSION", "STATE", "BEGUN", "ROLLS BACK"];
            table(&heads, &all.iter().map(row).collect::<Vec<_>>())
        }),
        Command::Show { id, diff, sites } => {
            let told = client.deployment_calls(&id, Wanted { sites }).await?;
            let by = client.deployments().await?;
            let by = by.into_iter().find(|it| it.rolls_back.as_ref() == Some(&id));
            let decided = decided(client, &told.deployment).await;
            output.show(&told, |told| describe(told, by.as_ref(), diff) + &decided)
        }
        Command::Rollback { id, follow } => {
            rollback::of_deployment(client, output, &id, follow).await
        }
        Command::Pause { id, reason, lasts } => {
            let request = PauseDeploymentRequest { reason, lasts };
            output.show(&client.pause_deployment(&id, &request).await?, in_short)
        }
        Command::Resume { id } => output.show(&client.resume_deployment(&id).await?, in_short),
        Command::Promote { id } => output.show(&client.promote(&id).await?, in_short),
        Command::Cancel { id } => output.show(&client.cancel(&id).await?, in_short),
        Command::Record(what) => record(client, what).await,
    }
}

/// Which decisions it has come from so far; nothing where that is not kept.
async fn decided(client: &Client, it: &Deployment) -> String {
    let found = client.decisions(None, Some(it.job_name()), LOOKS).await.unwrap_or_default();
    let about = |of: &&DecisionSummary| {
        of.decided.iter().any(|one| one.about.deployment.as_ref() == Some(&it.id))
    };
    let ids: Vec<_> = found.iter().filter(about).map(|of| of.id.as_str()).collect();
    match ids.first() {
        None => String::new(),
        Some(last) => {
            let named = ids.iter().take(NAMED).rev().copied().collect::<Vec<_>>().join(", ");
            let more = if ids.len() > NAMED { "..., " } else { "" };
            format!("\n\ndecided in {more}{named}; `cerebro explain decision {last}` says why")
        }
    }
}

fn in_short(it: &Deployment) -> String {
    format!("{} of {} to {}: {}{}", it.id, it.job_name(), it.version, it.word(), course(it))
}

/// What holds a deployment, or held it, a line for each.
fn course(it: &Deployment) -> String {
    let mut text = String::new();
    if let Some(at) = it.course.begun_at {
        text.push_str(&format!("\n  its turn came {at}"));
    }
    match &it.course.canary {
        Some(CanaryStage::Out) if it.state.is_running() => {
            text.push_str("\n  its canary is out, and the other instances wait");
        }
        Some(CanaryStage::Promoted { at }) => {
            text.push_str(&format!("\n  went on from its canary {at}"));
        }
        Some(CanaryStage::Out) | None => {}
    }
    for pause in &it.course.pauses {
        let end = match (pause.ended_at, pause.until) {
            (Some(at), _) => format!(" to {at}"),
            (None, Some(until)) => format!(", until {until}"),
            (None, None) => String::new(),
        };
        text.push_str(&format!("\n  paused {}{end}: {}", pause.at, printable(&pause.reason)));
    }
    text
}

/// Saves a recording, sealed, and its key beside it.
pub async fn record(client: &Client, what: Record) -> Result<(), Fault> {
    let Record { id: deployment, instance, out, expires: days } = what;
    let mut pieces = client.recording(&deployment, &instance).await?;
    let mut content = Vec::new();
    while let Some(piece) = pieces.next().await {
        content.extend(piece?);
    }
    let made = Timestamp::from(SystemTime::now());
    let expires = made.after(Duration::from_secs(u64::from(days) * 24 * 60 * 60));
    let about = About { deployment, instance, made, expires };
    let (bundle, key) =
        bundle::seal(&about, content).map_err(|why| Fault::new(ERROR, why.to_string()))?;
    let mut key_file = out.as_os_str().to_owned();
    key_file.push(".key");
    save(&out, &bundle)?;
    if let Err(fault) = save(Path::new(&key_file), format!("{key}\n").as_bytes()) {
        // Nobody could open it.
        let _ = std::fs::remove_file(&out);
        return Err(fault);
    }
    let (deployment, instance) = (about.deployment, about.instance);
    anstream::eprintln!(
        "{} holds what {deployment} did for {instance}, sealed; until {expires} it is opened by the key in {}. \
         Send them by different ways.",
        out.display(),
        key_file.display()
    );
    Ok(())
}

/// Writes a new file that nobody else can read; half of one is removed again.
fn save(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let cannot = |error: std::io::Error| {
        let code = if error.kind() == ErrorKind::AlreadyExists { CONFLICT } else { ERROR };
        Fault::new(code, format!("cannot write {}: {error}", path.display()))
    };
    let mut options = std::fs::File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    file.write_all(content).map_err(|error| {
        let _ = std::fs::remove_file(path);
        cannot(error)
    })
}

fn describe(told: &DeploymentCalls, by: Option<&Deployment>, diffs: bool) -> String {
    let it = &told.deployment;
    let head = format!("{} of {} to {}", it.id, it.job_name(), it.version);
    let state = paint(tone(&it.state), it.word());
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
    text.push_str(&course(it));
    if let Some(undone) = &it.rolls_back {
        text.push_str(&format!("\n  rolls {undone} back"));
    }
    if let Some(held) = &it.held_to {
        let beyond = if held.beyond { ", or beyond it" } else { "" };
        text.push_str(&format!("\n  held to plan {}{beyond}", held.plans.short()));
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
        DeploymentState::Queued | DeploymentState::Running => Tone::Changed,
        DeploymentState::Superseded { .. } | DeploymentState::Cancelled { .. } => Tone::Faint,
    }
}

fn words(state: &DeploymentState) -> &'static str {
    match state {
        DeploymentState::Queued => "waits in the queue",
        DeploymentState::Running => "goes on",
        DeploymentState::Superseded { .. } => "was superseded",
        DeploymentState::Cancelled { .. } => "was cancelled",
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
        for (n, place) in effect.map_or(&[][..], |effect| &effect.site[..]).iter().enumerate() {
            let place = format!("{} {}", if n == 0 { "in" } else { "from" }, printable(place));
            text.push_str(&format!("\n      {}", paint(Tone::Faint, &place)));
        }
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
