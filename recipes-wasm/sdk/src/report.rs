//! Reports of health checks, and thresholds.

use crate::host::health::{Metric, Report, Status};

/// A report without figures.
pub fn report(status: Status, message: impl Into<String>) -> Report {
    Report { status, message: message.into(), metrics: Vec::new() }
}

/// A figure. `unit` is a base unit, such as `s` or `B`, or empty.
pub fn metric(name: &str, value: f64, unit: &str) -> Metric {
    Metric { name: name.to_owned(), value, unit: unit.to_owned() }
}

/// The graver of two states.
pub fn worst(a: Status, b: Status) -> Status {
    let rank = |status: &Status| match status {
        Status::Passing => 0,
        Status::Warning => 1,
        Status::Critical => 2,
    };
    if rank(&b) > rank(&a) { b } else { a }
}

/// Findings of one check, gathered into a report: the graver the state, the earlier its words.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<(Status, String)>,
    metrics: Vec<Metric>,
}

impl Findings {
    /// Adds a figure.
    pub fn metric(&mut self, name: &str, value: f64, unit: &str) {
        self.metrics.push(metric(name, value, unit));
    }

    /// Adds something that was found.
    pub fn found(&mut self, status: Status, words: String) {
        self.found.push((status, words));
    }

    /// The report: what is wrong if something is, `well` otherwise.
    pub fn report(self, well: &str) -> Report {
        let mut words = Vec::new();
        let mut status = Status::Passing;
        for grave in [Status::Critical, Status::Warning] {
            let of = self.found.iter().filter(|(found, _)| *found == grave);
            words.extend(of.map(|(_, words)| words.as_str()));
            if !words.is_empty() {
                status = worst(status, grave);
            }
        }
        let message = if words.is_empty() { well.to_owned() } else { words.join("; ") };
        Report { status, message, metrics: self.metrics }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_graver_comes_first() {
        let mut findings = Findings::default();
        findings.found(Status::Passing, "fine".to_owned());
        findings.found(Status::Warning, "low".to_owned());
        findings.found(Status::Critical, "gone".to_owned());
        let report = findings.report("all well");
        assert_eq!((report.status, report.message.as_str()), (Status::Critical, "gone; low"));
    }

    #[test]
    fn one_who_found_a_warning_only_warns() {
        let mut findings = Findings::default();
        findings.found(Status::Warning, "low".to_owned());
        assert_eq!(findings.report("all well").status, Status::Warning);
        let report = Findings::default().report("all well");
        assert_eq!((report.status, report.message.as_str()), (Status::Passing, "all well"));
    }
}
