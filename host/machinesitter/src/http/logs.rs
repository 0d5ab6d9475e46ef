//! The output of tasks: every file in one listing, and any part of each.

use super::answer::{Path, Query, Refusal};
use super::tasks::Known;
use crate::agent::Agent;
use crate::logs::Reader;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::machine::LogFile;
use cerebro_api::paths;
use serde::Deserialize;
use std::convert::Infallible;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

/// Lines that are shown unless the request says how many.
const TAIL: usize = 100;

/// Which part of which log.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    stream: Option<Stream>,
    /// One of the listing's files, instead of a stream's present one.
    name: Option<String>,
    head: Option<usize>,
    tail: Option<usize>,
    follow: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stream {
    #[default]
    Stdout,
    Stderr,
    Recipe,
}

impl Stream {
    const fn file(self) -> &'static str {
        match self {
            Self::Stdout => "stdout.log",
            Self::Stderr => "stderr.log",
            Self::Recipe => "recipe.log",
        }
    }
}

/// A part of a task's log.
pub async fn of_task(
    State(agent): State<Arc<Agent>>,
    Path(name): Path<String>,
    Query(part): Query<Part>,
) -> Result<Response, Refusal> {
    show(&agent, &name, part).await
}

impl Part {
    /// Of a file that is named.
    pub fn of(
        name: Option<String>,
        head: Option<usize>,
        tail: Option<usize>,
        follow: bool,
    ) -> Self {
        Self { stream: None, name, head, tail, follow: Some(follow) }
    }
}

/// The same, by whatever way it was asked for.
pub async fn show(agent: &Arc<Agent>, task: &str, part: Part) -> Result<Response, Refusal> {
    let dir = Known::find(agent, task)?.dir(agent);
    let files = files(&dir);
    let name = part.name.as_deref().unwrap_or(part.stream.unwrap_or_default().file());
    // A name that the listing knows, never a path from the request.
    let path = files.into_iter().find(|file| file.file_name().is_some_and(|own| own == name));
    let path = match (path, part.name.is_some()) {
        (Some(path), _) => path,
        (None, true) => {
            let detail = format!("`{task}` has no log file `{name}`: {} lists them", paths::LOGS);
            return Err(Refusal::new(StatusCode::NOT_FOUND, detail));
        }
        // It has said nothing yet.
        (None, false) if name == Stream::Recipe.file() => dir.join(name),
        (None, false) => dir.join("logs").join(name),
    };
    if name.ends_with(".gz") {
        let bytes = tokio::fs::read(&path).await;
        let bytes =
            bytes.map_err(|error| Refusal::new(StatusCode::NOT_FOUND, error.to_string()))?;
        return Ok(([(header::CONTENT_TYPE, "application/gzip")], bytes).into_response());
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    if let Some(lines) = part.head {
        return Ok((kind, crate::logs::head(&path, lines).await).into_response());
    }
    let reader = Reader::from_tail(path, part.tail.unwrap_or(TAIL)).await;
    let follow = part.follow.unwrap_or(false);
    let pieces = futures::stream::unfold(reader, move |mut reader| async move {
        let piece = reader.next(follow).await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    Ok((kind, Body::from_stream(pieces)).into_response())
}

/// Every log file of every task.
pub async fn list(State(agent): State<Arc<Agent>>) -> Json<Vec<LogFile>> {
    let mut tasks: Vec<(String, PathBuf)> = Vec::new();
    tasks.extend(agent.own.names().into_iter().map(|name| {
        let dir = agent.own.dir(&name);
        (name, dir)
    }));
    tasks.extend(agent.table.map(|entry| {
        let id = entry.record.id();
        (id.to_string(), agent.disk.task_dir(id))
    }));
    let look = move || tasks.iter().flat_map(|(name, dir)| of(name, dir)).collect();
    Json(tokio::task::spawn_blocking(look).await.unwrap_or_default())
}

fn of(task: &str, dir: &FsPath) -> Vec<LogFile> {
    let file = |path: PathBuf| {
        let (about, name) = (path.metadata().ok()?, path.file_name()?.to_str()?.to_owned());
        Some(LogFile {
            link: format!("{}/logs?name={name}", paths::machine_task(task)),
            task: task.to_owned(),
            name,
            size: about.len(),
            changed_at: about.modified().ok().map(Into::into),
        })
    };
    files(dir).into_iter().filter_map(file).collect()
}

/// The files of a task that are logs: those that its sitter writes, and its recipe's.
fn files(dir: &FsPath) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("logs")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    let recipe = [dir.join("recipe.log"), dir.join("recipe.log.1")];
    files.extend(recipe.into_iter().filter(|file| file.is_file()));
    files.sort();
    files
}
