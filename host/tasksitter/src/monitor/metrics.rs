//! `/metrics`, in Prometheus' text format, version 0.0.4.

use super::escape::Label;
use super::report::status;
use super::snapshot::Snapshot;
use cerebro_tasksitter::protocol::{Constraint, Phase};
use std::fmt::Write;

/// What Prometheus knows the format by.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const PHASES: [Phase; 5] =
    [Phase::Running, Phase::BackingOff, Phase::Stopping, Phase::Stopped, Phase::Failed];

/// Metrics, as they are written one after another.
struct Exposition(String);

impl Exposition {
    /// One metric with all of its samples: labels and values. None without any.
    fn add(&mut self, name: &str, kind: &str, help: &str, samples: Vec<(String, f64)>) {
        if samples.is_empty() {
            return;
        }
        // Writing to a string does not fail.
        let _ = write!(
            self.0,
            "# HELP cerebro_task_{name} {help}\n# TYPE cerebro_task_{name} {kind}\n"
        );
        for (labels, value) in samples {
            let _ = writeln!(self.0, "cerebro_task_{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        self.add(name, "gauge", help, one(value.into()));
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        self.add(name, "counter", help, one(value.into()));
    }
}

fn one(value: Option<f64>) -> Vec<(String, f64)> {
    value.map(|value| (String::new(), value)).into_iter().collect()
}

fn flag(flag: bool) -> f64 {
    f64::from(u8::from(flag))
}

/// All metrics of a task.
pub fn metrics(snapshot: &Snapshot<'_>) -> String {
    let mut out = Exposition(String::new());
    of_the_task(&mut out, snapshot);
    of_its_limits(&mut out, snapshot);
    of_its_use(&mut out, snapshot);
    out.counter(
        "log_written_bytes_total",
        "Output written to log files since the sitter began.",
        snapshot.log_bytes_written as f64,
    );
    out.counter(
        "log_dropped_bytes_total",
        "Output dropped since the sitter began.",
        snapshot.log_bytes_dropped as f64,
    );
    out.0
}

fn of_the_task(out: &mut Exposition, snapshot: &Snapshot<'_>) {
    let state = snapshot.state;
    let version = snapshot.version.as_ref().and_then(|version| version.as_ref().ok());
    let labels = format!(
        "{{name=\"{}\",version=\"{}\",sitter_version=\"{}\"}}",
        Label(&snapshot.spec.name),
        Label(version.map_or("", String::as_str)),
        Label(&state.version)
    );
    out.add("info", "gauge", "The task, by its labels; always 1.", vec![(labels, 1.0)]);
    let phases = PHASES
        .map(|phase| (format!("{{phase=\"{}\"}}", phase.as_str()), flag(phase == state.phase)));
    out.add("phase", "gauge", "1 for the phase that the task is in.", phases.into());
    out.gauge("up", "Whether its process is there.", flag(state.pid.is_some()));
    out.gauge("ready", "Whether it is ready.", flag(state.ready));
    out.counter("starts_total", "How often it was started.", state.incarnation as f64);
    out.counter("restarts_total", "How often it was started again.", f64::from(state.restarts));
    out.gauge(
        "start_time_seconds",
        "When it was started last, since 1970.",
        state.started_at.map(|micros| micros as f64 / 1e6),
    );
    out.gauge(
        "last_exit_status",
        "How it ended last: its code, or 128 and the signal.",
        state.last_exit.as_ref().and_then(status).map(|status| status as f64),
    );
    out.counter(
        "oom_kills_total",
        "Processes that the kernel killed for want of memory.",
        state.counts.oom_kills as f64,
    );
}

fn of_its_limits(out: &mut Exposition, snapshot: &Snapshot<'_>) {
    let limit = |constraint| snapshot.of(constraint).limit;
    out.gauge("cpu_limit_cores", "Its CPU limit.", limit(Constraint::Cpu));
    out.gauge("memory_limit_bytes", "Its memory limit.", limit(Constraint::Mem));
    out.gauge("lifetime_limit_seconds", "How long it may live.", limit(Constraint::TimeLimit));
    let each = |count: fn(&super::snapshot::Standing) -> u32| {
        let sample = |constraint: Constraint| {
            let count = count(&snapshot.of(constraint));
            (format!("{{constraint=\"{constraint}\"}}"), f64::from(count))
        };
        Constraint::ALL.map(sample).into()
    };
    let (warnings, violations) = (each(|of| of.warnings), each(|of| of.violations));
    out.add("warnings_total", "counter", "Thresholds below a limit that were reached.", warnings);
    out.add("violations_total", "counter", "Limits that were broken.", violations);
}

fn of_its_use(out: &mut Exposition, snapshot: &Snapshot<'_>) {
    let Some(stats) = &snapshot.stats else { return };
    let number = |value: Option<u64>| value.map(|value| value as f64);
    out.counter("cpu_seconds_total", "CPU time used in this life.", stats.cpu_seconds);
    out.counter(
        "cpu_throttled_periods_total",
        "Periods in which the kernel held it back for its CPU limit.",
        number(stats.cpu_throttled),
    );
    out.gauge(
        "resident_memory_bytes",
        "Resident memory, shared pages counted in each process.",
        stats.rss as f64,
    );
    out.gauge("virtual_memory_bytes", "Address space.", stats.vmem as f64);
    out.gauge(
        "proportional_memory_bytes",
        "Proportional set size; only with ?pss.",
        number(stats.pss),
    );
    out.gauge(
        "memory_bytes",
        "What counts towards the memory limit in its control group.",
        number(stats.memory),
    );
    out.gauge(
        "memory_working_bytes",
        "Of that, without page cache that was not used lately.",
        number(stats.memory_working),
    );
    out.gauge("memory_peak_bytes", "The most that counted so far.", number(stats.memory_peak));
    // No counters: a process that ends takes its share along.
    out.gauge(
        "storage_read_bytes",
        "Bytes that the processes which are there now read from storage.",
        number(stats.read_bytes),
    );
    out.gauge(
        "storage_written_bytes",
        "Bytes that the processes which are there now wrote to storage.",
        number(stats.write_bytes),
    );
    out.gauge("processes", "Processes.", f64::from(stats.processes));
    out.gauge("threads", "Threads.", f64::from(stats.threads));
    out.gauge("open_descriptors", "Open descriptors.", stats.descriptors.map(f64::from));
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::{snapshot, spec, state};
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_sample_has_its_type_and_counters_say_total() {
        let (mut spec, state) = (spec(), state());
        spec.name = "a\"b\\c\nd".to_owned();
        let text = metrics(&snapshot(&spec, &state));
        let mut types = BTreeMap::new();
        let mut samples = 0;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(types.insert(name, kind).is_none(), "{name} twice");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let name = name.split('{').next().unwrap();
                assert!(types.contains_key(name) && value.parse::<f64>().is_ok(), "{line}");
                samples += 1;
            }
        }
        assert!(samples > 25, "{samples}");
        for line in [
            "cerebro_task_info{name=\"a\\\"b\\\\c\\nd\",version=\"v7 \\\"beta\\\"\",sitter_version=\"1.2.3\"} 1",
            "cerebro_task_phase{phase=\"running\"} 1",
            "cerebro_task_phase{phase=\"failed\"} 0",
            "cerebro_task_start_time_seconds 1795409024",
            "cerebro_task_violations_total{constraint=\"cpu\"} 2",
            "cerebro_task_warnings_total{constraint=\"mem\"} 5",
            "cerebro_task_memory_limit_bytes 1073741824",
            "cerebro_task_cpu_seconds_total 1.5",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        assert!(!text.contains("proportional"), "nobody asked");
    }

    #[test]
    fn without_measures_there_are_still_counts() {
        let (spec, state) = (spec(), state());
        let mut snapshot = snapshot(&spec, &state);
        snapshot.stats = None;
        let text = metrics(&snapshot);
        assert!(text.contains("restarts_total 3") && !text.contains("resident"));
    }
}
