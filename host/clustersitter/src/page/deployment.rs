//! A deployment's page: how it went, what its recipe did on each machine, what was undone, and what
//! was kept and why. It asks the agents when it is opened, and stays as it is: it has no script.

use super::{guarded, head, plan, time};
use crate::cluster::Cluster;
use crate::http::calls;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cerebro_api::call::{CallReport, CallState, EffectReport};
use cerebro_api::deployment::DeploymentCalls;
use cerebro_model::{CanaryStage, Deployment, DeploymentId, DeploymentState};
use maud::{DOCTYPE, Markup, html};
use std::sync::Arc;

/// Where a deployment's page is.
pub fn path(id: &DeploymentId) -> String {
    format!("/deployments/{id}")
}

pub async fn page(State(cluster): State<Arc<Cluster>>, Path(id): Path<String>) -> Response {
    let deployments = cluster.deployments();
    let found = deployments.iter().find(|it| it.id.as_str() == id).cloned();
    let Some(deployment) = found else { return missing() };
    let by = deployments.into_iter().find(|it| it.rolls_back.as_ref() == Some(&deployment.id));
    let told = calls::collect(&cluster, deployment, Default::default()).await;
    let title = format!("{} of {}", told.deployment.id, told.deployment.job_name());
    guarded(whole(&title, &content(&told, by.as_ref()))).into_response()
}

/// The page of one that is not there.
pub(super) fn missing() -> Response {
    let content = html! { p.none { "There is no such deployment." } };
    (StatusCode::NOT_FOUND, guarded(whole("No deployment", &content))).into_response()
}

pub(super) fn whole(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (head(title)) }
            body {
                header { h1 { a href="/" { "Cerebro" } } p { (title) } }
                main { (content) }
            }
        }
    }
}

fn content(told: &DeploymentCalls, by: Option<&Deployment>) -> Markup {
    let it = &told.deployment;
    html! {
        section.now {
            p {
                (it.job_name()) " to " (it.version) ": "
                span class=(it.state.word()) { (it.word()) }
                ", begun " (time(it.created_at))
            }
            (course(it))
            p { a href=(plan::path(&it.id)) {
                @if it.held_to.is_some() { "The plan that it is held to" } @else { "What it would do if it were made again now" }
            } }
            @match &it.state {
                DeploymentState::Failed { reason, .. } => pre.bad { (reason) },
                DeploymentState::Superseded { by } => p { "Its place was taken by " (link(by)) "." },
                _ => {}
            }
            @if let Some(undone) = &it.rolls_back {
                p { "It rolls " (link(undone)) " back." }
            }
            @if let Some(by) = by {
                p {
                    (link(&by.id)) " rolls it back, to " (by.version) ": "
                    span class=(by.state.word()) { (by.state.word()) }
                }
            }
        }
        @if !told.silent.is_empty() {
            section {
                h2 { "Not heard" }
                ul.bad { @for silent in &told.silent { li { (silent.instance) ": " (silent.why) } } }
            }
        }
        @if told.calls.is_empty() && told.silent.is_empty() {
            p.none { "No instance that is there now keeps anything of what it did." }
        }
        @for call in &told.calls { (call_section(call)) }
    }
}

/// What holds it, or held it.
fn course(it: &Deployment) -> Markup {
    html! {
        @if it.state.is_queued() { p { "It waits until what is on its way of its job has ended." } }
        @if let Some(at) = it.course.begun_at { p { "Its turn came " (time(at)) "." } }
        @match &it.course.canary {
            Some(CanaryStage::Out) if it.state.is_running() => p { "Its canary is out, and the other instances wait." },
            Some(CanaryStage::Promoted { at }) => p { "It went on from its canary " (time(*at)) "." },
            _ => {}
        }
        @for pause in &it.course.pauses {
            p {
                "Paused " (time(pause.at))
                @if let Some(at) = pause.ended_at { " to " (time(at)) }
                @else if let Some(until) = pause.until { ", until " (time(until)) }
                ": " (pause.reason)
            }
        }
    }
}

fn link(id: &DeploymentId) -> Markup {
    html! { a href=(path(id)) { (id) } }
}

fn call_section(call: &CallReport) -> Markup {
    let (class, state) = match call.state {
        CallState::Open => ("running", "under way, or cut off"),
        CallState::Succeeded => ("succeeded", "succeeded"),
        CallState::Failed => ("failed", "failed, and left as it is"),
        CallState::RolledBack => ("superseded", "rolled back"),
    };
    let undone = call.effects.iter().filter(|effect| effect.undone).count();
    let kept = call.effects.iter().filter(|effect| effect.kept.is_some()).count();
    html! {
        section {
            h2 { (call.instance) ": " span class=(class) { (state) } }
            p {
                "Try " (call.attempt) ", " (time(call.at)) ". " (call.effects.len()) " effects"
                @if undone + kept > 0 { ", " (undone) " undone, " (kept) " kept" }
                "."
            }
            @if let Some(error) = &call.error { pre.bad { (error) } }
            @if let Some(torn) = &call.torn {
                p.bad { "Its journal is not whole, so there may be more: " (torn) }
            }
            @if !call.effects.is_empty() {
                div.scroll {
                    table {
                        thead { tr { @for head in ["When (UTC)", "#", "Effect", "Call", "What became of it"] {
                            th scope="col" { (head) }
                        } } }
                        tbody { @for effect in &call.effects { tr { (row(effect)) } } }
                    }
                }
            }
        }
    }
}

fn row(effect: &EffectReport) -> Markup {
    html! {
        td { (time(effect.at)) }
        td.num { "#" (effect.n) }
        td {
            (effect.effect.action)
            @if let Some(diff) = &effect.diff { details { summary { "diff" } pre { (diff) } } }
        }
        td.num { @if effect.call == 0 { "end" } @else { (effect.call) } }
        td { @match (effect.undone, &effect.kept, &effect.error) {
            (true, _, _) => span.good { "undone" },
            (_, Some(why), _) => span.bad { "kept: " (why) },
            (_, _, Some(why)) => span.bad { "failed: " (why) },
            _ => "done",
        } }
    }
}
