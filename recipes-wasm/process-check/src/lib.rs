//! Looks at how the instance's task is and what it uses.

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::health::{Report, Status};
use cerebro_recipe::host::task::{Status as TaskStatus, Usage};
use cerebro_recipe::report::{self, Findings};
use cerebro_recipe::{HealthCheck, Host};

/// What a job may say. A figure that is not bounded is measured all the same.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The task; the instance's own by default.
    task: Option<String>,
    /// Cores in use between two checks.
    cpu_cores: Bounds,
    /// Resident memory in bytes.
    resident: Bounds,
    /// Memory in use in percent of its limit.
    memory_percent: Bounds,
    /// Open descriptors.
    descriptors: Bounds,
    /// Processes.
    processes: Bounds,
    /// How often it was started again because it had ended.
    restarts: Bounds,
    /// Seconds that it must have lived.
    min_age: Option<f64>,
}

/// Above what a figure is worth a warning, or critical.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Bounds {
    warning: Option<f64>,
    critical: Option<f64>,
}

struct ProcessCheck;

cerebro_recipe::health_check!(ProcessCheck);

impl HealthCheck for ProcessCheck {
    type Options = Options;

    fn check(host: &impl Host, options: Options) -> Result<Report, String> {
        let name = options.task.as_deref();
        let status = host.task(name).doing(|| "look at the task".to_owned())?;
        let usage = host.task_usage(name).doing(|| "measure the task".to_owned())?;
        Ok(judge(&options, status.as_ref(), usage.as_ref()))
    }
}

fn judge(options: &Options, status: Option<&TaskStatus>, usage: Option<&Usage>) -> Report {
    let Some(status) = status else {
        return report::report(Status::Critical, "there is no task yet");
    };
    let mut findings = Findings::default();
    if status.phase != "running" {
        let last = status.last_exit.as_deref().map_or(String::new(), |end| format!(" ({end})"));
        findings.found(Status::Critical, format!("the task is {}{last}", status.phase));
    }
    let mut look = |name: &str, value: Option<f64>, unit: &str, bounds: Bounds| {
        let Some(value) = value else { return };
        findings.metric(name, value, unit);
        let over = |bound: Option<f64>| bound.filter(|bound| value > *bound);
        let (grave, bound) = match (over(bounds.critical), over(bounds.warning)) {
            (Some(bound), _) => (Status::Critical, bound),
            (None, Some(bound)) => (Status::Warning, bound),
            (None, None) => return,
        };
        findings.found(grave, format!("`{name}` is {value:.2}{unit}, above {bound}{unit}"));
    };
    if let Some(usage) = usage {
        let limit = usage.memory_limit.filter(|limit| *limit > 0);
        let used = usage.memory.unwrap_or(usage.resident);
        let share = limit.map(|limit| 100.0 * used as f64 / limit as f64);
        look("cpu_cores", usage.cpu_cores, "", options.cpu_cores);
        look("resident", Some(usage.resident as f64), "B", options.resident);
        look("memory_percent", share, "%", options.memory_percent);
        look("descriptors", usage.descriptors.map(f64::from), "", options.descriptors);
        look("processes", Some(f64::from(usage.processes)), "", options.processes);
    }
    look("restarts", Some(f64::from(status.restarts)), "", options.restarts);
    look("age", status.age, "s", Bounds::default());
    if let (Some(least), Some(age)) = (options.min_age, status.age)
        && age < least
    {
        findings.found(Status::Warning, format!("it lives for {age:.0} s, less than {least} s"));
    }
    findings.report("the task runs within its bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> TaskStatus {
        TaskStatus {
            phase: "running".to_owned(),
            ready: true,
            pid: Some(7),
            incarnation: 3,
            restarts: 2,
            age: Some(5.0),
            last_exit: Some("code 1".to_owned()),
        }
    }

    fn usage() -> Usage {
        Usage {
            cpu_seconds: 1.0,
            cpu_cores: Some(0.5),
            resident: 50 << 20,
            memory: Some(60 << 20),
            memory_limit: Some(100 << 20),
            processes: 1,
            threads: 4,
            descriptors: Some(12),
        }
    }

    fn with(json: &str) -> Report {
        let options = serde_json::from_str(json).unwrap();
        judge(&options, Some(&running()), Some(&usage()))
    }

    #[test]
    fn bounds_are_kept_or_named() {
        let report = with("{}");
        assert_eq!(report.status, Status::Passing);
        assert!(report.metrics.iter().any(|m| m.name == "memory_percent" && m.value == 60.0));
        let report = with(r#"{"memory_percent": {"warning": 50, "critical": 80}}"#);
        assert_eq!(report.status, Status::Warning);
        assert!(report.message.contains("memory_percent"), "{}", report.message);
        assert_eq!(with(r#"{"restarts": {"critical": 1}}"#).status, Status::Critical);
        assert_eq!(with(r#"{"restarts": {"critical": 2}}"#).status, Status::Passing);
        assert_eq!(with(r#"{"min_age": 10}"#).status, Status::Warning);
    }

    #[test]
    fn a_task_that_does_not_run_is_critical() {
        let ended = TaskStatus { phase: "backing-off".to_owned(), age: None, ..running() };
        let report = judge(&Options::default(), Some(&ended), None);
        assert_eq!(report.status, Status::Critical);
        assert!(report.message.contains("backing-off (code 1)"), "{}", report.message);
        assert_eq!(judge(&Options::default(), None, None).status, Status::Critical);
    }
}
