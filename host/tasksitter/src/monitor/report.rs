//! What a task's first page says, in three forms: a page, lines, and JSON. All three are made from
//! one table of facts.

use super::snapshot::Snapshot;
use super::value::{Plain, Value};
use cerebro_tasksitter::protocol::{Action, Constraint, Exit, Finding};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt::Write;

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// For programs, its unit at its end.
    pub key: &'static str,
    /// For people.
    pub label: &'static str,
    pub value: Value,
}

/// Facts of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    pub key: &'static str,
    pub title: &'static str,
    pub facts: Vec<Fact>,
}

/// The whole table.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub metadata: Section,
    /// One for each constraint.
    pub constraints: Vec<Section>,
    pub stats: Option<Section>,
    pub output: Section,
}

fn fact(key: &'static str, label: &'static str, value: impl Into<Value>) -> Fact {
    Fact { key, label, value: value.into() }
}

impl Report {
    pub fn new(snapshot: &Snapshot<'_>) -> Self {
        Self {
            metadata: metadata(snapshot),
            constraints: Constraint::ALL.map(|constraint| standing(snapshot, constraint)).into(),
            stats: stats(snapshot),
            output: Section {
                key: "output",
                title: "Output since the sitter began",
                facts: vec![
                    fact("log_bytes_written", "Written", Value::Bytes(snapshot.log_bytes_written)),
                    fact("log_bytes_dropped", "Dropped", Value::Bytes(snapshot.log_bytes_dropped)),
                    fact("log_failing", "Last write failed", snapshot.log_failing),
                ],
            },
        }
    }

    /// Lines of `key: value`; a value that is not there is empty.
    pub fn flat(&self) -> String {
        let mut text = String::new();
        let plain = [Some(&self.metadata), self.stats.as_ref(), Some(&self.output)];
        let plain = plain.into_iter().flatten().map(|section| (None, section));
        let constraints = self.constraints.iter().map(|section| (Some(section.key), section));
        for (prefix, section) in plain.chain(constraints) {
            for Fact { key, value, .. } in &section.facts {
                let (prefix, dot) = prefix.map_or(("", ""), |prefix| (prefix, "."));
                // Writing to a string does not fail.
                let _ = writeln!(text, "{prefix}{dot}{key}: {}", Plain(value));
            }
        }
        text
    }
}

fn metadata(snapshot: &Snapshot<'_>) -> Section {
    let (spec, state, counts) = (snapshot.spec, snapshot.state, &snapshot.state.counts);
    let exit = state.last_exit.as_ref();
    let (version, problem) = match &snapshot.version {
        None => (None, None),
        Some(Ok(version)) => (Some(version.clone()), None),
        Some(Err(problem)) => (None, Some(problem.clone())),
    };
    let mut facts = vec![
        fact("name", "Name", spec.name.clone()),
        fact("command", "Command", spec.argv.join(" ")),
        fact("directory", "Directory", snapshot.directory.display().to_string()),
        fact("phase", "Phase", state.phase.as_str().to_owned()),
        fact("ready", "Ready", state.ready),
        fact("status", "Status", some(&state.status)),
        fact("reason", "Last given up or ended because", state.reason.map(|r| r.to_string())),
        fact("pid", "Process", state.pid.map(|pid| Value::Number(pid.into()))),
        fact("sitter_pid", "Its sitter", Value::Number(state.sitter.into())),
        fact("started_at", "Started", state.started_at.map(Value::Time)),
        fact("uptime_seconds", "Up for", snapshot.age.map(|age| Value::Seconds(age.as_secs_f64()))),
        fact("adopted", "Started by an earlier sitter", state.adopted),
        fact("starts", "Starts", Value::Count(state.incarnation)),
        fact("restarts", "Restarts", Value::Count(state.restarts.into())),
        fact("last_exit", "Last end", exit.map(Exit::to_string)),
        fact("last_exit_status", "Its status", exit.and_then(status).map(Value::Number)),
        fact("ended_at", "Ended", state.ended_at.map(Value::Time)),
        fact("version", "Version", version),
        fact("sitter_version", "Version of the sitter", state.version.clone()),
        fact("enforcement", "Limits are", some(&state.enforcement)),
        fact("last_finding", "Last finding", state.finding.as_ref().map(words)),
        fact("oom_kills", "Killed for want of memory", Value::Count(counts.oom_kills)),
        fact("oom_kills_now", "Of those, in this life", Value::Count(counts.oom_kills_now)),
    ];
    if let Some(problem) = problem {
        facts.push(fact("version_problem", "Version unknown", problem));
    }
    Section { key: "metadata", title: "Task", facts }
}

fn standing(snapshot: &Snapshot<'_>, constraint: Constraint) -> Section {
    let standing = snapshot.of(constraint);
    type Unit = fn(f64) -> Value;
    let (key, title, unit, limit, used): (_, _, Unit, _, _) = match constraint {
        Constraint::Cpu => ("cpu", "CPU", Value::Cores, "limit_cores", "used_cores"),
        Constraint::Mem => {
            // A whole number of bytes, which is below 2^53 on any machine.
            ("mem", "Memory", |bytes| Value::Bytes(bytes as u64), "limit_bytes", "used_bytes")
        }
        Constraint::TimeLimit => {
            ("time-limit", "Lifetime", Value::Seconds, "limit_seconds", "used_seconds")
        }
    };
    let action = match standing.action {
        Action::Warn => "warn",
        Action::Restart => "restart",
        Action::Kill => "kill",
    };
    let facts = vec![
        fact(limit, "Limit", standing.limit.map(unit)),
        fact(used, "Used", standing.used.map(unit)),
        fact("used_percent", "Share", standing.percent().map(Value::Percent)),
        fact("warnings", "Warnings", Value::Count(standing.warnings.into())),
        fact("violations", "Violations", Value::Count(standing.violations.into())),
        fact("on_violation", "On violation", action.to_owned()),
    ];
    Section { key, title, facts }
}

fn stats(snapshot: &Snapshot<'_>) -> Option<Section> {
    let stats = snapshot.stats.as_ref()?;
    let bytes = |value: Option<u64>| value.map(Value::Bytes);
    let mut facts = vec![
        fact("cpu_cores", "CPU in use", stats.cpu_cores.map(Value::Cores)),
        fact("cpu_seconds", "CPU time", Value::Seconds(stats.cpu_seconds)),
        fact("cpu_throttled_periods", "Throttled periods", stats.cpu_throttled.map(Value::Count)),
        fact("rss_bytes", "Resident (RSS)", Value::Bytes(stats.rss)),
        fact("vmem_bytes", "Address space", Value::Bytes(stats.vmem)),
        fact("memory_bytes", "Counted to the limit", bytes(stats.memory)),
        fact("memory_working_bytes", "Working set", bytes(stats.memory_working)),
        fact("memory_peak_bytes", "Peak", bytes(stats.memory_peak)),
        fact("storage_read_bytes", "Read from storage", bytes(stats.read_bytes)),
        fact("storage_written_bytes", "Written to storage", bytes(stats.write_bytes)),
        fact("processes", "Processes", Value::Count(stats.processes.into())),
        fact("threads", "Threads", Value::Count(stats.threads.into())),
        fact("descriptors", "Open descriptors", stats.descriptors.map(|n| Value::Count(n.into()))),
    ];
    if stats.pss.is_some() {
        facts.insert(4, fact("pss_bytes", "Proportional (PSS)", bytes(stats.pss)));
    }
    Some(Section { key: "stats", title: "Now", facts })
}

/// As a shell would have it: the code, or 128 and the signal.
pub fn status(exit: &Exit) -> Option<i64> {
    match exit {
        Exit::Code(code) => Some((*code).into()),
        Exit::Signal(signal) => Some(128 + i64::from(*signal)),
        Exit::OutOfMemory => Some(128 + i64::from(libc::SIGKILL)),
        Exit::Unknown | Exit::NotStarted(_) => None,
    }
}

fn words(finding: &Finding) -> String {
    match finding {
        Finding::Warned { constraint, threshold } => {
            format!("`{constraint}` reached {threshold} % of its limit")
        }
        Finding::Violated { constraint } => format!("`{constraint}` was violated"),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.facts.iter().map(|fact| (fact.key, &fact.value)))
    }
}

/// The constraints by their names.
struct ByName<'a>(&'a [Section]);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|section| (section.key, section)))
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry(self.metadata.key, &self.metadata)?;
        map.serialize_entry("constraints", &ByName(&self.constraints))?;
        map.serialize_entry("stats", &self.stats)?;
        map.serialize_entry(self.output.key, &self.output)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::{snapshot, spec, state};
    use super::*;

    #[test]
    fn lines_and_json_say_the_same() {
        let (spec, state) = (spec(), state());
        let report = Report::new(&snapshot(&spec, &state));
        let flat = report.flat();
        let lines: Vec<_> =
            flat.lines().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
        let json = serde_json::to_value(&report).unwrap();
        let find = |key: &str| {
            let found: Vec<_> = lines.iter().filter(|(own, _)| *own == key).collect();
            assert_eq!(found.len(), 1, "{key}");
            found[0].1
        };
        assert_eq!(find("name"), spec.name);
        assert_eq!(json["metadata"]["name"], spec.name.as_str());
        // A line break of the task's ends no line of ours.
        assert_eq!(find("status"), "<b>loading</b>\\n& more");
        assert_eq!(json["metadata"]["status"], "<b>loading</b>\n& more");
        assert_eq!((find("pid"), &json["metadata"]["pid"]), ("42", &42.into()));
        assert_eq!(find("started_at"), "2026-11-23T04:43:44.000Z");
        assert_eq!(find("last_exit"), "exited with code 3");
        assert_eq!(json["metadata"]["last_exit_status"], 3);
        assert_eq!(find("cpu.violations"), "2");
        assert_eq!(json["constraints"]["cpu"]["violations"], 2);
        assert_eq!(json["constraints"]["mem"]["limit_bytes"], 1u64 << 30);
        assert_eq!(find("mem.used_percent"), "25.0");
        assert_eq!(json["constraints"]["time-limit"]["limit_seconds"], serde_json::Value::Null);
        assert_eq!((find("threads"), &json["stats"]["threads"]), ("7", &7.into()));
        assert_eq!(json["output"]["log_bytes_dropped"], 10);
        assert!(json["stats"].get("pss_bytes").is_none(), "nobody asked");
    }

    #[test]
    fn what_is_not_measured_is_not_told() {
        let (spec, state) = (spec(), state());
        let mut snapshot = snapshot(&spec, &state);
        snapshot.stats = None;
        snapshot.version = Some(Err("cannot read it".to_owned()));
        let report = Report::new(&snapshot);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["stats"], serde_json::Value::Null);
        assert_eq!(json["constraints"]["mem"]["used_bytes"], serde_json::Value::Null);
        assert_eq!(json["metadata"]["version_problem"], "cannot read it");
        assert!(!report.flat().contains("threads"));
    }
}
