//! The web page: what is broken, what Cerebro did about it, and everything that there is.
//!
//! Made here, whole; a short script fetches `/fragment` again whenever an event comes.

mod deployment;
mod plan;

use crate::cluster::Cluster;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;
use cerebro_api::body::{JobView, MachineView, TaskView, ZoneView};
use cerebro_api::name::NameView;
use cerebro_api::paths;
use cerebro_model::{Deployment, Event, Pause, Timestamp, ZoneSettings};
use maud::{DOCTYPE, Markup, html};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Nothing but our own style and script, and no inline ones.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Events that the page shows.
const EVENTS_SHOWN: usize = 30;

const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");

/// The page and what belongs to it.
pub fn router() -> Router<Arc<Cluster>> {
    Router::new()
        .route("/", get(whole))
        .route("/fragment", get(fragment))
        .route("/deployments/{id}", get(deployment::page))
        .route("/deployments/{id}/plan", get(plan::page))
        .route("/page.css", get(|| async { ([(header::CONTENT_TYPE, "text/css")], STYLE) }))
        .route("/page.js", get(|| async { ([(header::CONTENT_TYPE, "text/javascript")], SCRIPT) }))
}

fn guarded(page: Markup) -> impl IntoResponse {
    let nosniff: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    ([(header::CONTENT_SECURITY_POLICY, POLICY), nosniff], page)
}

/// What every page's head holds.
fn head(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        title { (title) }
        link rel="stylesheet" href="/page.css";
    }
}

async fn whole(State(cluster): State<Arc<Cluster>>) -> impl IntoResponse {
    guarded(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head("Cerebro"))
                script src="/page.js" defer {}
            }
            body {
                header { h1 { "Cerebro" } p #link { "live" } }
                main #main { (content(&cluster)) }
                footer { "API: " a href=(paths::OPENAPI) { (paths::OPENAPI) } }
            }
        }
    })
}

async fn fragment(State(cluster): State<Arc<Cluster>>) -> impl IntoResponse {
    guarded(content(&cluster))
}

fn content(cluster: &Cluster) -> Markup {
    let (jobs, machines, tasks) = (cluster.jobs(), cluster.machines(), cluster.tasks());
    let newest = cluster.last_event().unwrap_or(0);
    let events = cluster
        .events(newest.saturating_sub(EVENTS_SHOWN as u64), EVENTS_SHOWN)
        .unwrap_or_default();
    html! {
        (broken(&cluster.faults()))
        (pauses_table(&cluster.pauses()))
        (jobs_table(&jobs))
        (machines_table(&machines))
        (zones_table(&cluster.zones()))
        (tasks_table(&tasks))
        (names_table(&cluster.names()))
        (deployments_table(&cluster.deployments()))
        (events_table(&events))
    }
}

/// The first of the page's questions.
fn broken(faults: &[String]) -> Markup {
    html! {
        section.now aria-live="polite" {
            @if faults.is_empty() {
                p.good { "All is well: nothing needs you." }
            } @else {
                h2 { "Not as it should be" }
                ul.bad { @for fault in faults { li { (fault) } } }
            }
        }
    }
}

fn table(title: &str, empty: &str, heads: &[&str], rows: &[Markup]) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if rows.is_empty() {
                p.none { (empty) }
            } @else {
                div.scroll {
                    table {
                        thead { tr { @for head in heads { th scope="col" { (head) } } } }
                        tbody { @for row in rows { tr { (row) } } }
                    }
                }
            }
        }
    }
}

/// Only where there are any: they are no part of what there is every day.
fn pauses_table(pauses: &[Pause]) -> Markup {
    let row = |pause: &Pause| {
        html! {
            td { (pause.scope) }
            td { (pause.author) }
            td { (pause.reason) }
            td { (time(pause.since)) }
            td { (time(pause.until)) }
        }
    };
    let rows: Vec<_> = pauses.iter().map(row).collect();
    let heads = ["What stands still", "By", "Why", "Since", "Until"];
    html! { @if !rows.is_empty() { (table("Paused", "", &heads, &rows)) } }
}

fn jobs_table(jobs: &[JobView]) -> Markup {
    let row = |view: &JobView| {
        let job = &view.record.job;
        let zones = job
            .deployment_layout
            .iter()
            .map(|(zone, layout)| format!("{zone} × {}", layout.instances()));
        html! {
            td { (job.dns_basename) }
            td { (job.task_configuration.name) }
            td.num { (view.healthy) " / " (view.wanted) }
            td { (view.deployment.as_ref().map_or("never deployed", |deployment| deployment.version.as_str())) }
            td { (zones.collect::<Vec<_>>().join(", ")) }
        }
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    let empty = "No jobs yet: define one with cerebro job apply FILE.";
    table("Jobs", empty, &["Job", "Name", "Healthy", "Version", "Zones"], &rows)
}

fn machines_table(machines: &[MachineView]) -> Markup {
    let row = |view: &MachineView| {
        let (machine, free) = (&view.machine, view.free);
        let load = view.stats.map_or("–".to_owned(), |stats| format!("{:.2}", stats.load[0]));
        html! {
            td { (machine.id) }
            td { (machine.zone) }
            td class=(view.word()) { (view.word()) }
            td { (machine.address.map_or("–".to_owned(), |address| address.to_string())) }
            td.num { (view.instances) }
            td.num { (free.cpu) " of " (machine.capacity.cpu) }
            td.num { (free.mem) " of " (machine.capacity.mem) }
            td.num { (load) }
            td { (view.details()) }
        }
    };
    let rows: Vec<_> = machines.iter().map(row).collect();
    let heads = [
        "Machine",
        "Zone",
        "State",
        "Address",
        "Tasks",
        "Cores free",
        "Memory free",
        "Load",
        "Why",
    ];
    table("Machines", "No machines.", &heads, &rows)
}

fn zones_table(zones: &[ZoneView]) -> Markup {
    let row = |view: &ZoneView| {
        let ZoneSettings { zone, min, max, idle, idle_for } = &view.settings;
        html! {
            td { (zone) }
            td.num { (view.machines) }
            td.num { (view.without_work) }
            td.num { (min) " to " (max) }
            td.num {
                @match idle {
                    Some(idle) => { (idle) " beyond that, after " (idle_for) }
                    None => { "as many as there are" }
                }
            }
        }
    };
    let rows: Vec<_> = zones.iter().map(row).collect();
    let heads = ["Zone", "Machines", "Without work", "Kept", "Kept without work"];
    table("Zones", "No zones: start the cluster sitter with --zone.", &heads, &rows)
}

/// Only where there are any: many clusters have no use for them.
fn names_table(names: &[NameView]) -> Markup {
    let row = |view: &NameView| {
        let members = &view.publication.members;
        let addresses: BTreeSet<_> = members.values().flat_map(|it| &it.addresses).collect();
        let addresses: Vec<_> = addresses.into_iter().map(ToString::to_string).collect();
        html! {
            td { (view.name) }
            td.num { (members.len()) }
            td { (addresses.join(" ")) }
            td.num { (view.publication.ttl.seconds()) " s" }
            td { @if view.is_answered { "yes" } @else { "not yet" } }
        }
    };
    let rows: Vec<_> = names.iter().map(row).collect();
    let heads = ["Name", "Instances", "Addresses", "Kept for", "Answered"];
    html! { @if !rows.is_empty() { (table("Names", "", &heads, &rows)) } }
}

fn tasks_table(tasks: &[TaskView]) -> Markup {
    let row = |view: &TaskView| {
        let (instance, status) = (&view.instance, view.status.as_ref());
        let phase = status.map_or("not heard of".to_owned(), |status| status.phase.to_string());
        let log =
            |stream: &str| format!("{}?stream={stream}&tail=200", paths::task_logs(&instance.id));
        html! {
            td { (instance.id) }
            td { (instance.machine) }
            td { (view.version.as_ref().map_or("–", |version| version.as_str())) }
            td class=(phase) { (phase) }
            td.num { (status.and_then(|status| status.pid).map_or("–".to_owned(), |pid| pid.to_string())) }
            td.num { (status.map_or(0, |status| status.restarts)) }
            td { @for stream in ["stdout", "stderr", "recipe"] { a href=(log(stream)) { (stream) } " " } }
        }
    };
    let rows: Vec<_> = tasks.iter().map(row).collect();
    let heads = ["Task", "Machine", "Version", "State", "Pid", "Restarts", "Logs"];
    table("Tasks", "No tasks: deploy a job with cerebro deploy JOB --version V.", &heads, &rows)
}

fn deployments_table(deployments: &[Deployment]) -> Markup {
    let row = |deployment: &Deployment| {
        html! {
            td { a href=(deployment::path(&deployment.id)) { (deployment.id) } }
            td { (deployment.job_name()) }
            td { (deployment.version) }
            td class=(deployment.state.word()) {
                (deployment.word())
                @if let Some(undone) = &deployment.rolls_back { ", rolls " (undone) " back" }
            }
            td { (time(deployment.created_at)) }
        }
    };
    let rows: Vec<_> = deployments.iter().take(10).map(row).collect();
    table("Deployments", "None yet.", &["Deployment", "Job", "Version", "State", "Begun"], &rows)
}

fn events_table(events: &[Event]) -> Markup {
    let row = |event: &Event| {
        html! { td { (time(event.at)) } td { (event.kind) } td { (event.message) } }
    };
    let rows: Vec<_> = events.iter().rev().map(row).collect();
    table("What Cerebro saw and did", "Nothing yet.", &["When (UTC)", "What", "Why"], &rows)
}

/// Day and second: what a person compares.
fn time(at: Timestamp) -> Markup {
    let text = at.to_string();
    let short = text.get(5..19).map_or(text.clone(), |part| part.replace('T', " "));
    html! { time datetime=(text) { (short) } }
}
