//! What can be counted, for Prometheus and whoever else reads OpenMetrics.

use super::{Refusal, Shared};
use crate::cluster::Cluster;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::paths;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// As OpenMetrics names its text format.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The labels of a sample.
type Labels = Vec<(&'static str, String)>;

/// What can be counted: machines by zone and state, instances by phase, jobs, deployments by state, what is told, and the calls that
/// were made to the providers.
#[utoipa::path(get, path = paths::METRICS, responses(
    (status = 200, description = "OpenMetrics' text format.", content_type = CONTENT_TYPE)
))]
pub async fn get(cluster: Shared) -> Result<Response, Refusal> {
    let mut text = String::new();
    encode(&mut text, &registry(&cluster)).map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write metrics: {error}"))
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn registry(cluster: &Cluster) -> Registry {
    let mut registry = Registry::with_prefix("cerebro");
    let tally = cluster.tally();
    let (version, term) = (env!("CARGO_PKG_VERSION").to_owned(), cluster.term().to_string());
    let controller = [(vec![("version", version), ("term", term)], 1)];
    gauges(&mut registry, "controller", "The controller that answers; always 1", controller);
    let machines = tally.machines.into_iter().map(|((zone, state), count)| {
        (vec![("zone", zone.to_string()), ("state", state.to_owned())], count)
    });
    gauges(&mut registry, "machines", "Machines, by where they stand", machines);
    let silent = tally.silent.into_iter();
    let silent = silent.map(|(zone, count)| (vec![("zone", zone.to_string())], count));
    gauges(&mut registry, "machines_silent", "Machines that are not heard", silent);
    let instances = tally.instances.into_iter();
    let instances = instances.map(|(phase, count)| (vec![("phase", phase)], count));
    gauges(&mut registry, "instances", "Instances, by what their machines say of them", instances);
    gauges(&mut registry, "jobs", "Jobs that are defined", [(Vec::new(), tally.jobs)]);
    let deployments = tally.deployments.into_iter();
    let deployments = deployments.map(|(state, count)| (vec![("state", state.to_owned())], count));
    gauges(&mut registry, "deployments", "Deployments that are kept, by their state", deployments);
    let faults = u64::try_from(cluster.faults().len()).unwrap_or(u64::MAX);
    gauges(
        &mut registry,
        "faults",
        "What is not as it should be: as many lines as `cerebro status` shows",
        [(Vec::new(), faults)],
    );
    calls(&mut registry, cluster);
    registry
}

/// One metric of which each sample is set anew with each scrape.
fn gauges(
    registry: &mut Registry,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, value) in samples {
        family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    registry.register(name, help, family);
}

/// The calls to whoever has the machines, and to whoever answers for names.
fn calls(registry: &mut Registry, cluster: &Cluster) {
    let family = Family::<Labels, Counter>::default();
    let machines = (cluster.provider.name(), cluster.provider.calls());
    let names = cluster.dns.as_ref().map(|dns| (dns.provider.name(), dns.provider.calls()));
    for (provider, calls) in std::iter::once(machines).chain(names) {
        for ((call, outcome), count) in calls {
            let labels = vec![
                ("provider", provider.to_owned()),
                ("call", call.to_owned()),
                ("outcome", outcome.to_owned()),
            ];
            family.get_or_create(&labels).inc_by(count);
        }
    }
    registry.register("provider_calls", "Calls since this controller started", family);
}
