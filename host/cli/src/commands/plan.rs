//! What a deployment would do, as a person reads it.

use super::effects;
use crate::style::{Tone, diff, paint, printable};
use cerebro_api::deployment::{PlanGroup, PlanReport};
use cerebro_model::{InstanceId, Plan, PlanEnd, PlanLine};

/// Instances that are named; of more, the number is told.
const NAMED: usize = 3;

/// How often each mark stands in a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    create: usize,
    change: usize,
    remove: usize,
    unknown: usize,
}

/// In words.
pub fn describe(report: &PlanReport) -> String {
    let deployment = &report.deployment;
    let planned: usize = report.groups.iter().map(|group| group.instances.len()).sum();
    let head = format!("{} to {}", deployment.job_name(), deployment.version);
    let mut text = format!("{}: what it would do; nothing is done", paint(Tone::Strong, &head));
    for (at, group) in report.groups.iter().enumerate() {
        let first = report.groups.first().filter(|_| at > 0);
        let differing = first.and_then(|first| Differing::of(&group.plan, &first.plan));
        let by = differing.as_ref().map(Differing::count);
        text.push_str(&format!("\n\n{}\n", heading(group, at, planned, by)));
        text.push_str(
            &differing.map_or_else(|| plan(&group.plan), |differing| differing.describe()),
        );
    }
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n\n{}", paint(Tone::Strong, title)));
            text.extend(lines.iter().map(|line| format!("\n  {line}")));
        }
    };
    let ends = |id: &InstanceId| format!("{} {id}", paint(Tone::Removed, "-"));
    list("These would end", report.leaving.iter().map(ends).collect());
    let waits = report
        .waiting
        .iter()
        .map(|it| format!("{} {}: {}", paint(Tone::Unknown, "?"), it.instance, printable(&it.why)));
    list("These have no machine yet, so nobody can say what is done there", waits.collect());
    let silent = report.silent.iter().map(|it| {
        let error = paint(Tone::Removed, "error:");
        format!("{error} {} on {}: {}", it.instance, it.machine, printable(&it.why))
    });
    list("Of these there is no plan", silent.collect());
    text.push_str(&format!("\n\n{}", summary(&report.groups, planned)));
    text
}

/// How the plan of a group differs from that of the first, which is shown whole.
struct Differing<'a> {
    here: Vec<(usize, &'a PlanLine)>,
    not_here: Vec<(usize, &'a PlanLine)>,
    same: usize,
}

impl<'a> Differing<'a> {
    /// None where most of it does, or where it ends otherwise: then it is shown whole too.
    fn of(plan: &'a Plan, first: &'a Plan) -> Option<Self> {
        let (here, not_here) = (others(plan, first), others(first, plan));
        let same = plan.lines.len() - here.len();
        let differing = Self { here, not_here, same };
        let is_less = (1..=same).contains(&differing.count());
        (is_less && plan.end == first.end).then_some(differing)
    }

    /// Lines that differ: one that is another here counts once.
    fn count(&self) -> usize {
        self.here.len().max(self.not_here.len())
    }

    fn describe(&self) -> String {
        let mut lines: Vec<String> =
            self.here.iter().map(|(n, one)| line(&format!("#{}", n + 1), one, &[])).collect();
        lines.extend(self.not_here.iter().map(|(n, one)| {
            let (word, what) = (paint(Tone::Faint, "instead of"), effects::action(&one.effect));
            let details = effects::details(&one.effect, one.diff.is_some());
            let details = paint(Tone::Faint, &details);
            format!("  {word} #{} {} {what}  {details}", n + 1, one.mark()).trim_end().to_owned()
        }));
        let (same, s) = (self.same, if self.same == 1 { "" } else { "s" });
        lines.push(paint(Tone::Faint, &format!("  and {same} line{s} as above")));
        lines.join("\n")
    }
}

/// The lines of a plan that another has not, by their places.
fn others<'a>(of: &'a Plan, than: &Plan) -> Vec<(usize, &'a PlanLine)> {
    let is_same = |one: &PlanLine, other: &PlanLine| {
        (&one.effect, one.mark(), &one.diff, &one.notes)
            == (&other.effect, other.mark(), &other.diff, &other.notes)
    };
    let mut left: Vec<&PlanLine> = than.lines.iter().collect();
    let is_other = |(_, one): &(usize, &PlanLine)| match left.iter().position(|it| is_same(it, one))
    {
        Some(at) => {
            left.remove(at);
            false
        }
        None => true,
    };
    of.lines.iter().enumerate().filter(is_other).collect()
}

/// Which instances a group is, and by how many lines it differs, where only those are shown.
fn heading(group: &PlanGroup, at: usize, planned: usize, by: Option<usize>) -> String {
    let named: Vec<_> = group.instances.iter().take(NAMED).map(ToString::to_string).collect();
    let names = match group.instances.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    };
    let by = match by {
        None => String::new(),
        Some(1) => " by 1 line".to_owned(),
        Some(lines) => format!(" by {lines} lines"),
    };
    let title = match group.instances.len() {
        1 if planned == 1 => return paint(Tone::Strong, &names),
        1 if at > 0 => format!("1 differs{by}"),
        count if at > 0 => format!("{count} differ{by}"),
        count if count == planned => format!("All {count} identical"),
        count => format!("{count} identical"),
    };
    let digest = format!("(plan {})", group.digest.short());
    format!("{}: {names} {}", paint(Tone::Strong, &title), paint(Tone::Faint, &digest))
}

fn plan(plan: &Plan) -> String {
    let width = plan.lines.len().to_string().len();
    // What a line rests on rests what follows on too: it is said once.
    let before = std::iter::once(&[][..]).chain(plan.lines.iter().map(|line| &*line.notes));
    let numbered = (1..).zip(plan.lines.iter().zip(before));
    let mut lines: Vec<_> =
        numbered.map(|(n, (one, told))| line(&format!("#{n:<width$}"), one, told)).collect();
    match &plan.end {
        PlanEnd::Whole if plan.lines.is_empty() => {
            lines.push(format!("  {} nothing to do", paint(Tone::Faint, "=")));
        }
        PlanEnd::Whole => {}
        PlanEnd::Cut(why) => {
            let dots = paint(Tone::Unknown, "...");
            lines.push(format!("  {dots} the plan is exact up to here: {}", printable(why)));
        }
        PlanEnd::Fails(why) => {
            let error = paint(Tone::Removed, "error:");
            lines.push(format!("  {error} it would fail here: {}", printable(why)));
        }
    }
    lines.join("\n")
}

/// In which tone a mark is.
fn tone(mark: char) -> Tone {
    match mark {
        '+' => Tone::Added,
        '~' => Tone::Changed,
        '?' => Tone::Unknown,
        _ => Tone::Removed,
    }
}

/// A line, by the number that notes name it by, without the notes that were told before it.
fn line(number: &str, line: &PlanLine, told: &[String]) -> String {
    let mark = paint(tone(line.mark()), &line.mark().to_string());
    let number = paint(Tone::Faint, number);
    let mut text = format!("  {number} {mark} {}", effects::action(&line.effect));
    if line.is_unbounded() {
        text.push_str(&format!("  {}", paint(Tone::Removed, "UNBOUNDED")));
    }
    let details = effects::details(&line.effect, line.diff.is_some());
    if !details.is_empty() {
        text.push_str(&format!("  {}", paint(Tone::Faint, &details)));
    }
    for note in line.notes.iter().filter(|note| !told.contains(note)) {
        text.push_str(&format!("\n      {}", paint(Tone::Faint, &printable(note))));
    }
    text.push_str(&line.diff.as_deref().map_or_else(String::new, |text| diff(text, "      ")));
    text
}

fn count(plan: &Plan) -> Count {
    let mut count = Count::default();
    for line in &plan.lines {
        match line.mark() {
            '+' => count.create += 1,
            '-' => count.remove += 1,
            '~' => count.change += 1,
            _ => count.unknown += 1,
        }
    }
    count
}

fn summary(groups: &[PlanGroup], planned: usize) -> String {
    let [single] = groups else {
        let mut all = Count::default();
        for group in groups {
            let (one, times) = (count(&group.plan), group.instances.len());
            all.create += one.create * times;
            all.change += one.change * times;
            all.remove += one.remove * times;
            all.unknown += one.unknown * times;
        }
        return match planned {
            0 => "Plan: none, since no machine could be asked".to_owned(),
            _ => format!("{} in all, on {planned} instances", words(all)),
        };
    };
    match planned {
        1 => words(count(&single.plan)),
        _ => format!("{} on each of {planned} instances", words(count(&single.plan))),
    }
}

fn words(count: Count) -> String {
    let Count { create, change, remove, unknown } = count;
    if count == Count::default() {
        return "Plan: nothing to do".to_owned();
    }
    format!("Plan: {create} to create, {change} to change, {remove} to remove, {unknown} unknown")
}

#[cfg(test)]
mod tests;
