//! What a deployment was held to, or what it would do if it were made again now. Instances of which the
//! same is planned are together.

use super::deployment::{self, missing, whole};
use super::guarded;
use crate::cluster::Cluster;
use crate::http::{held, plans};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use cerebro_api::deployment::{PlanGroup, PlanReport};
use cerebro_model::{DeploymentId, InstanceId, Plan, PlanEnd, PlanLine};
use maud::{Markup, html};
use std::sync::Arc;

/// Where it is.
pub fn path(id: &DeploymentId) -> String {
    format!("{}/plan", deployment::path(id))
}

pub async fn page(State(cluster): State<Arc<Cluster>>, Path(id): Path<String>) -> Response {
    let found = cluster.deployments().into_iter().find(|it| it.id.as_str() == id);
    let Some(deployment) = found else { return missing() };
    let (job, version) = (deployment.job_name().clone(), deployment.version.clone());
    let (told, report) = match &deployment.held_to {
        Some(plans) => match held::read(&cluster, plans).await {
            Ok(report) => ("This was planned, and the deployment was held to it.", report),
            Err(refusal) => return refusal.into_response(),
        },
        None => (
            "This it would do if it were made again now. Nothing was done to find out.",
            plans::of(&cluster, deployment.clone()).await,
        ),
    };
    let title = format!("Plan of {} of {job} to {version}", deployment.id);
    let back =
        html! { p { a href=(deployment::path(&deployment.id)) { (deployment.id) } ". " (told) } };
    guarded(whole(&title, &html! { section.now { (back) } (content(&report)) })).into_response()
}

fn content(report: &PlanReport) -> Markup {
    html! {
        @for group in &report.groups { (section(group)) }
        @if !report.leaving.is_empty() {
            section { h2 { "These would end" } ul { @for id in &report.leaving { li { (id) } } } }
        }
        @if !report.waiting.is_empty() {
            section {
                h2 { "These have no machine yet" }
                ul { @for it in &report.waiting { li { (it.instance) ": " (it.why) } } }
            }
        }
        @if !report.silent.is_empty() {
            section {
                h2 { "Of these there is no plan" }
                ul.bad { @for it in &report.silent { li { (it.instance) " on " (it.machine) ": " (it.why) } } }
            }
        }
    }
}

fn section(group: &PlanGroup) -> Markup {
    let names = group.instances.iter().map(InstanceId::to_string).collect::<Vec<_>>().join(", ");
    html! {
        section {
            h2 { (group.instances.len()) @if group.instances.len() == 1 { " instance" } @else { " instances" } }
            p { (names) }
            (lines(&group.plan))
            @match &group.plan.end {
                PlanEnd::Whole if group.plan.lines.is_empty() => p.none { "Nothing to do." },
                PlanEnd::Whole => {},
                PlanEnd::Cut(why) => p.bad { "The plan is exact up to here: " (why) },
                PlanEnd::Fails(why) => p.bad { "It would fail here: " (why) },
            }
        }
    }
}

fn lines(plan: &Plan) -> Markup {
    // What a line rests on rests what follows on too: it is said once.
    let before = std::iter::once(&[][..]).chain(plan.lines.iter().map(|line| &*line.notes));
    html! {
        @if !plan.lines.is_empty() {
            div.scroll {
                table {
                    thead { tr { @for head in ["#", "", "Effect", "Change"] { th scope="col" { (head) } } } }
                    tbody { @for (n, (line, told)) in (1..).zip(plan.lines.iter().zip(before)) {
                        tr { (row(n, line, told)) }
                    } }
                }
            }
        }
    }
}

fn row(n: usize, line: &PlanLine, told: &[String]) -> Markup {
    html! {
        td.num { "#" (n) }
        td { (line.mark()) @if line.is_unbounded() { " UNBOUNDED" } }
        td {
            (line.effect.action)
            @for note in line.notes.iter().filter(|note| !told.contains(note)) { br; small { (note) } }
            @if let Some(diff) = &line.diff { details { summary { "diff" } pre { (diff) } } }
        }
        td { (line.changes()) }
    }
}
