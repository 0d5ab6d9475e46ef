//! Calls of the host that ask for too much, or at the wrong moment.

use crate::ground::{Case, OUT_OF_TIME};
use serde_json::json;

pub fn cases() -> Vec<Case> {
    vec![
        Case::hostile(
            "a command that sleeps",
            OUT_OF_TIME,
            |_| json!({"do": "run", "argv": ["/bin/sh", "-c", "sleep 600"]}),
        ),
        Case::hostile(
            "a command that has its time",
            "was killed after",
            |_| json!({"do": "run", "argv": ["/bin/sh", "-c", "sleep 600"], "timeout": 100}),
        ),
        Case::hostile("a command that does not care", "was killed after", |_| {
            let script = "trap '' TERM INT HUP; while :; do sleep 1; done";
            json!({"do": "run", "argv": ["/bin/sh", "-c", script], "timeout": 100})
        }),
        Case::hostile("a command that makes itself a daemon", "was killed after", |_| {
            let script = "setsid sh -c 'trap \"\" TERM; sleep 600 & sleep 600' & sleep 600";
            json!({"do": "run", "argv": ["/bin/sh", "-c", script], "timeout": 200})
        }),
        Case::hostile("a daemon that outlives its command", "", |_| {
            let script = "setsid sh -c 'sleep 600 </dev/null >/dev/null 2>&1 &'; exit 0";
            json!({"do": "run", "argv": ["/bin/sh", "-c", script]})
        })
        .goes_well(),
        Case::hostile(
            "a command that writes without end",
            OUT_OF_TIME,
            |_| json!({"do": "run", "argv": ["/usr/bin/yes"]}),
        ),
        Case::hostile("a command that writes 100 MB", "cut off after 262144 bytes", |ground| {
            ground.machine.limits.wall = std::time::Duration::from_secs(50);
            json!({"do": "run", "argv": ["/bin/sh", "-c", "head -c 100000000 /dev/zero"]})
        }),
        Case::hostile("a command that forks", "was killed after", |_| {
            let script = "for i in 1 2 3 4 5 6 7 8; do (while :; do sleep 0.1; done) & done; wait";
            json!({"do": "run", "argv": ["/bin/sh", "-c", script], "timeout": 200})
        }),
        Case::hostile(
            "a command that is not granted",
            "grants.commands",
            |_| json!({"do": "run", "argv": ["/bin/false"]}),
        ),
        Case::hostile("no command at all", "needs a program", |_| json!({"do": "run", "argv": []})),
        Case::hostile(
            "a command with a NUL",
            "is not a command",
            |_| json!({"do": "run", "argv": ["/bin/true", "a\u{0}b"]}),
        ),
        Case::hostile(
            "300,000 arguments",
            "too",
            |_| json!({"do": "run", "argv": ["/bin/true"], "arguments": 300_000}),
        ),
        Case::hostile("a relative command", "absolute", |_| json!({"do": "run", "argv": ["true"]})),
        Case::hostile("handles without end", "handle", |ground| {
            ground.machine.limits.wall = std::time::Duration::from_secs(50);
            json!({"do": "handles", "argv": ["/bin/true"]})
        }),
        Case::hostile(
            "a value of 10 MB",
            "key 0",
            |_| json!({"do": "kv", "keys": 1, "size": 10_000_000}),
        ),
        Case::hostile("100,000 values", "more than 1024 values", |ground| {
            ground.machine.limits.wall = std::time::Duration::from_secs(50);
            json!({"do": "kv", "keys": 100_000, "size": 10})
        }),
        Case::hostile("100,000 notifications", "more than 256 things", |ground| {
            ground.machine.limits.wall = std::time::Duration::from_secs(50);
            json!({"do": "notify", "commands": 100_000})
        }),
        Case::hostile(
            "a secret that is not granted",
            "grants.secrets",
            |_| json!({"do": "secret", "name": "root.password"}),
        ),
        Case::hostile(
            "a secret by a path",
            "secret",
            |_| json!({"do": "secret", "name": "../../etc/shadow"}),
        ),
        Case::hostile("what stands for a secret on a command line", "--password=<<secret:", |_| {
            // What it says is what everybody on the machine could read.
            let script = "tr '\\0' ' ' </proc/$$/cmdline >&2; exit 1";
            json!({"do": "argue", "secret": "db.password", "script": script, "reveal": false})
        }),
        Case::hostile("a secret on a command line", "whoever is on the machine", |_| {
            let script = "tr '\\0' ' ' </proc/$$/cmdline >&2; exit 1";
            json!({"do": "argue", "secret": "db.password", "script": script, "reveal": true})
        }),
    ]
}
