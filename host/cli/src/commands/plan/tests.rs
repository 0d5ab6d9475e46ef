use super::*;
use cerebro_model::{Action, Effect, Form, Seen, Sureness};
use serde_json::json;
use std::collections::BTreeMap;

fn seen(mode: u32, size: u64) -> Seen {
    Seen { form: Form::File, mode, uid: 0, gid: 0, size: Some(size), digest: None, target: None }
}

fn effect(action: Action, before: Option<Seen>, after: Option<Seen>) -> Effect {
    Effect { action, before, after }
}

fn plan_line(call: u32, sure: Sureness, effect: Effect) -> PlanLine {
    PlanLine { call, sure, effect, over_unknown: false, diff: None, notes: Vec::new() }
}

fn sample() -> Plan {
    let write = |path: &str| Action::Write { path: path.to_owned(), secrets: Vec::new() };
    let remove = Action::Remove { path: "/opt/app/old".to_owned() };
    let run = Action::Run {
        argv: ["systemctl", "reload", "nginx"].map(str::to_owned).into(),
        user: None,
        undo: None,
        irreversible: false,
        contained: false,
    };
    let mut changed = plan_line(
        2,
        Sureness::Certain,
        effect(write("/etc/app.conf"), Some(seen(0o644, 9)), Some(seen(0o640, 10))),
    );
    changed.diff = Some("@@ -1 +1 @@\n-port = 80\n+port = 8080\n".to_owned());
    let mut unknown = plan_line(4, Sureness::Bounded, Effect::of(run));
    unknown.notes.push("writes within /opt/app/shared".to_owned());
    let mut after =
        plan_line(5, Sureness::Certain, effect(write("/opt/app/last"), None, Some(seen(0o644, 1))));
    after.notes.clone_from(&unknown.notes);
    let lines = vec![
        plan_line(
            1,
            Sureness::Certain,
            effect(write("/opt/app/new"), None, Some(seen(0o755, 1234))),
        ),
        changed,
        plan_line(3, Sureness::Certain, effect(remove, Some(seen(0o644, 1)), None)),
        unknown,
        after,
    ];
    Plan { component: "c".repeat(64), lines, end: PlanEnd::Whole }
}

fn report(plans: Vec<(Plan, u32)>) -> PlanReport {
    let mut number = 0..;
    let mut group = |(plan, count): (Plan, u32)| {
        let id = |n: u32| format!("{n}.z-1.a.b").parse().unwrap();
        let instances = number.by_ref().take(count as usize).map(id).collect();
        PlanGroup { digest: plan.digest(), plan, instances, named: false }
    };
    let deployment = json!({
        "id": "d-1", "revision": 1, "version": "1.5.0", "recipe": "0".repeat(64),
        "job": {
            "dns_basename": "a.b", "deployment_recipe": "r",
            "deployment_layout": { "z-1": { "mem": 1, "count": 1 } },
            "task_configuration": { "name": "t", "command": "true" },
        },
        "checks": {}, "state": { "is": "running" }, "created_at": "2026-01-01T00:00:00Z",
    });
    PlanReport {
        deployment: serde_json::from_value(deployment).unwrap(),
        groups: plans.into_iter().map(&mut group).collect(),
        silent: Vec::new(),
        waiting: Vec::new(),
        leaving: Vec::new(),
        machines: BTreeMap::new(),
    }
}

/// As it is where there is no terminal.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (at, part) in text.split('\x1b').enumerate() {
        plain.push_str(if at == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    plain
}

#[test]
fn a_plan_reads_well() {
    let text = plain(&describe(&report(vec![(sample(), 1)])));
    let expected = "\
a.b to 1.5.0: what it would do; nothing is done

0.z-1.a.b
  #1 + write /opt/app/new  0755, 1.2 kB
  #2 ~ write /etc/app.conf  0644 → 0640
      @@ -1 +1 @@
      -port = 80
      +port = 8080
  #3 - remove /opt/app/old
  #4 ? run systemctl reload nginx
      writes within /opt/app/shared
  #5 + write /opt/app/last  0644, 1 B

Plan: 2 to create, 1 to change, 1 to remove, 1 unknown";
    assert_eq!(text, expected);
}

#[test]
fn what_is_the_same_is_told_once_and_what_differs_beside_it() {
    let cut = Plan { end: PlanEnd::Cut("it depends on the output of #4".to_owned()), ..sample() };
    let nothing = Plan { lines: Vec::new(), ..sample() };
    let mut report = report(vec![(sample(), 48), (cut, 2), (nothing, 1)]);
    report.leaving.push("9.z-2.a.b".parse().unwrap());
    let text = plain(&describe(&report));
    for part in [
        "\n48 identical: 0.z-1.a.b, 1.z-1.a.b, 2.z-1.a.b and 45 more (plan ",
        "\n2 differ: 48.z-1.a.b, 49.z-1.a.b (plan ",
        "\n  ... the plan is exact up to here: it depends on the output of #4",
        "\n1 differs: 50.z-1.a.b (plan ",
        "\n  = nothing to do",
        "\nThese would end\n  - 9.z-2.a.b",
        "\nPlan: 100 to create, 50 to change, 50 to remove, 50 unknown in all, on 51 instances",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Of one that is the same but for a line, only that is shown.
    let mut other = sample();
    other.lines[1].effect.before = Some(seen(0o600, 9));
    let text = plain(&describe(&self::report(vec![(sample(), 48), (other, 2)])));
    let (_, differing) = text.split_once("\n2 differ by 1 line: 48.z-1.a.b, 49.z-1.a.b ").unwrap();
    let (_, lines) = differing.split_once('\n').unwrap();
    let expected = "  #2 ~ write /etc/app.conf  0600 → 0640
      @@ -1 +1 @@
      -port = 80
      +port = 8080
  instead of #2 ~ write /etc/app.conf  0644 → 0640
  and 4 lines as above
";
    assert!(lines.starts_with(expected), "{lines}");
    let mut unbounded = sample();
    unbounded.lines[3].sure = Sureness::Unbounded;
    let text = plain(&describe(&self::report(vec![(unbounded, 1)])));
    assert!(text.contains("\n  #4 ! run systemctl reload nginx  UNBOUNDED\n"), "{text}");
    let same = plain(&describe(&self::report(vec![(sample(), 3)])));
    assert!(
        same.contains("All 3 identical: ") && same.contains("on each of 3 instances"),
        "{same}"
    );
}
