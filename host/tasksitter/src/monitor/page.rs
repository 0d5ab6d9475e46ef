//! The pages for people: plain HTML that asks for itself again every few seconds, and runs nothing.

use super::date;
use super::escape::{Html, Url};
use super::logs::LogEntry;
use super::report::{Fact, Report, Section};
use super::value::{Value, bytes_for_people};
use cerebro_tasksitter::protocol::{Phase, TaskSpec, TaskState};
use std::fmt::Write;

/// No script, nothing from elsewhere, in nobody's frame.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("page.css");
/// From one look to the next.
const REFRESH_SECONDS: u32 = 5;
/// Shares of a limit, in percent, from which its bar is coloured.
const BUSY: f64 = 80.0;
const BROKEN: f64 = 100.0;

/// How a task is.
pub fn stats(report: &Report, spec: &TaskSpec, state: &TaskState) -> String {
    let mut page = begin(spec, state, "/stats");
    page += "<h2>Limits</h2><div class=cards>";
    report.constraints.iter().for_each(|section| limit(&mut page, section));
    page += "</div>";
    let shown = [report.stats.as_ref(), Some(&report.output)];
    shown.into_iter().flatten().for_each(|section| tiles(&mut page, section));
    if report.stats.is_none() {
        page += "<p class=small>What it uses is not measured: --disable-stat-collection.</p>";
    }
    let Section { title, facts, .. } = &report.metadata;
    // Writing to a string does not fail, here and below.
    let _ = write!(page, "<h2>{title}</h2><dl>");
    // The status stands above.
    let facts = facts.iter().filter(|fact| fact.value != Value::None && fact.key != "status");
    for Fact { label, value, .. } in facts {
        let _ = write!(page, "<dt>{label}</dt><dd>{}</dd>", Html(&value.to_string()));
    }
    page += "</dl>";
    end(page)
}

/// Its log files.
pub fn logs(entries: &[LogEntry], spec: &TaskSpec, state: &TaskState) -> String {
    let mut page = begin(spec, state, "/logs");
    page += "<h2>Log files</h2><div class=scroll><table><tr><th>File</th><th>Of</th>\
             <th class=number>Size</th><th>Written last</th><th>Show</th></tr>";
    for entry in entries {
        let (name, url) = (Html(&entry.name), Url(&entry.name));
        let (size, modified) = (bytes_for_people(entry.bytes), date::for_people(entry.modified));
        let _ = write!(
            page,
            "<tr><td><a href=\"/logfile?name={url}\">{name}</a></td><td>{}</td>\
             <td class=number>{size}</td><td>{modified}</td><td>",
            entry.stream
        );
        let mut link = |what: &str, label: &str| {
            let _ = write!(page, "<a href=\"/logfile?name={url}&amp;{what}\">{label}</a>");
        };
        link("head=100", "first 100");
        if !entry.is_compressed() {
            link("tail=100", "last 100");
        }
        if entry.current {
            link("tail=100&amp;follow", "follow");
        }
        page += "</td></tr>";
    }
    if entries.is_empty() {
        page += "<tr><td colspan=5>There is none yet.</td></tr>";
    }
    page += "</table></div>";
    end(page)
}

fn begin(spec: &TaskSpec, state: &TaskState, here: &str) -> String {
    let name = Html(if spec.name.is_empty() { "a task" } else { &spec.name });
    let mut page = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=refresh content={REFRESH_SECONDS}><title>{name} – {phase}</title>\
         <link rel=icon href=\"data:,\"><style>{STYLE}</style></head><body><header><div>\
         <h1>{name}</h1>",
        phase = state.phase.as_str(),
    );
    let (colour, phase) = match state.phase {
        Phase::Running => ("good", "running"),
        Phase::BackingOff => ("busy", "backing off"),
        Phase::Stopping => ("busy", "stopping"),
        Phase::Stopped => ("rest", "stopped"),
        Phase::Failed => ("bad", "failed"),
    };
    let _ = write!(page, "<span class=\"pill {colour}\">{phase}</span>");
    if state.phase == Phase::Running {
        let (colour, words) = if state.ready { ("good", "ready") } else { ("busy", "not ready") };
        let _ = write!(page, "<span class=\"pill {colour}\">{words}</span>");
    }
    if !state.status.is_empty() {
        let _ = write!(page, "<p class=words>{}</p>", Html(&state.status));
    }
    page += "<nav>";
    for (path, label) in
        [("/stats", "Stats"), ("/logs", "Logs"), ("/metrics", "Metrics"), ("/healthz", "Health")]
    {
        let class = if path == here { " class=here" } else { "" };
        let _ = write!(page, "<a href=\"{path}\"{class}>{label}</a>");
    }
    let pss = if here == "/stats" { "<a href=\"/stats?pss\">with PSS</a>" } else { "" };
    let _ = write!(
        page,
        "<span class=forms>{pss}<a href=\"{here}?nohtml\">as text</a>\
         <a href=\"{here}?format=json\">as JSON</a></span></nav></div></header><main>"
    );
    page
}

fn end(mut page: String) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(
        page,
        "</main><footer>tasksitter {version} · looks again every {REFRESH_SECONDS} s</footer>\
         </body></html>"
    );
    page
}

fn limit(page: &mut String, section: &Section) {
    let [limit, used, percent, warnings, violations, action] = &section.facts[..] else { return };
    let limited = limit.value != Value::None;
    let against = if limited { format!("of {}", limit.value) } else { "· no limit".to_owned() };
    let _ = write!(
        page,
        "<div class=card><h3>{} <span>{} {against}</span></h3>",
        section.title, used.value
    );
    let percent = if let Value::Percent(percent) = percent.value { percent } else { 0.0 };
    let colour = match percent {
        broken if broken > BROKEN => " class=bad",
        busy if busy >= BUSY => " class=busy",
        _ => "",
    };
    let _ = write!(
        page,
        "<div class=track><div{colour} style=\"width:{:.1}%\"></div></div>",
        percent.clamp(0.0, 100.0)
    );
    let counted = |fact: &Fact, one: &str| {
        let plural = if fact.value == Value::Count(1) { "" } else { "s" };
        format!("{} {one}{plural}", fact.value)
    };
    let (warnings, violations) = (counted(warnings, "warning"), counted(violations, "violation"));
    let _ = write!(page, "<p class=small>{warnings} · {violations}");
    if limited {
        let _ = write!(page, " · on violation: {}", action.value);
    }
    *page += "</p></div>";
}

fn tiles(page: &mut String, section: &Section) {
    let _ = write!(page, "<h2>{}</h2><div class=tiles>", section.title);
    for Fact { label, value, .. } in &section.facts {
        let value = value.to_string();
        let _ = write!(
            page,
            "<div class=\"card tile\"><b>{}</b><span>{label}</span></div>",
            Html(&value)
        );
    }
    *page += "</div>";
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::{snapshot, spec, state};
    use super::*;

    fn is_inert(page: &str) {
        for ill in ["<script", "<b>loading", "</pre>", "onerror=\"", "href=\"javascript"] {
            assert!(!page.contains(ill), "{ill} in {page}");
        }
        assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
        assert!(page.contains("&lt;b&gt;loading&lt;/b&gt;"));
    }

    #[test]
    fn what_a_task_says_is_shown_and_does_nothing() {
        let (spec, state) = (spec(), state());
        let page = stats(&Report::new(&snapshot(&spec, &state)), &spec, &state);
        is_inert(&page);
        assert!(page.contains("http-equiv=refresh content=5"));
        assert!(page.contains("<span>0.25 cores of 0.50 cores</span>"));
        assert!(page.contains("<p class=small>0 warnings · 2 violations"));
        assert!(page.contains("width:50.0%") && page.contains("no limit"));
        assert!(page.contains("<dt>Version</dt><dd>v7 &quot;beta&quot;</dd>"));
    }

    #[test]
    fn names_of_logs_are_shown_and_linked_as_they_are() {
        let entry = |name: &str| LogEntry {
            name: name.to_owned(),
            stream: "stdout",
            path: name.into(),
            bytes: 2048,
            modified: 1_795_409_024_000_000,
            current: !name.ends_with(".gz"),
        };
        let (spec, state) = (spec(), state());
        let entries = [entry("<script>\"&x=1"), entry("out.1.gz")];
        let page = logs(&entries, &spec, &state);
        is_inert(&page);
        assert!(page.contains("href=\"/logfile?name=%3Cscript%3E%22%26x%3D1\""));
        assert!(page.contains(">&lt;script&gt;&quot;&amp;x=1</a>"));
        assert!(page.contains("2.0 KiB") && page.contains("2026-11-23 04:43:44 UTC"));
        assert_eq!(page.matches("last 100").count(), 1, "not of a compressed one");
        assert!(logs(&[], &spec, &state).contains("none yet"));
    }
}
