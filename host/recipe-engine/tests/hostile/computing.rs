//! Components that compute, grow or are made so as to harm.

use crate::ground::{Case, OUT_OF_TIME};
use serde_json::json;

/// A recipe whose core module has these functions and fields; `$f` is what is called, by `deploy`.
fn recipe(fields: &str) -> Vec<u8> {
    recipe_with("", fields, "")
}

/// The same with parts of the component before the module, and options of the lifted functions.
fn recipe_with(parts: &str, fields: &str, lifting: &str) -> Vec<u8> {
    let text = format!(
        r#"(component {parts}
            (core module $m
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
                {fields})
            (core instance $i (instantiate $m))
            (func $f (result (result (error string))) (canon lift (core func $i "f")
                (memory (core memory $i "memory")) (realloc (core func $i "realloc")) {lifting}))
            (func $g (result (result (error string))) (canon lift (core func $i "g")
                (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
            (export "deploy" (func $f))
            (export "undeploy" (func $g)))"#
    );
    wat::parse_str(text).unwrap()
}

/// A function that does something and ends well.
fn doing(what: &str) -> String {
    format!(
        r#"(func (export "g") (result i32) i32.const 0)
           (func $f (export "f") (result i32) (local $n i32) {what} i32.const 0)"#
    )
}

const WELL: &str = r#"(func (export "f") (result i32) i32.const 0)
                      (func (export "g") (result i32) i32.const 0)"#;

/// A recipe whose memory has so many pages from the start.
fn memory(pages: u32) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m (memory (export "memory") {pages}) {WELL}
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $f (result (result (error string))) (canon lift (core func $i "f")
                (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
            (export "deploy" (func $f)) (export "undeploy" (func $f)))"#
    );
    wat::parse_str(text).unwrap()
}

/// A recipe that drops a resource of its own, whose destructor does something.
fn destructor(what: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $d (func (export "end") (param i32) {what}))
            (core instance $ends (instantiate $d))
            (type $r (resource (rep i32) (dtor (core func $ends "end"))))
            (core func $new (canon resource.new $r))
            (core func $drop (canon resource.drop $r))
            (core module $m
                (import "host" "new" (func $new (param i32) (result i32)))
                (import "host" "drop" (func $drop (param i32)))
                (memory (export "memory") 1)
                (func (export "f") (result i32) (call $drop (call $new (i32.const 1))) i32.const 0))
            (core instance $i (instantiate $m (with "host" (instance
                (export "new" (func $new)) (export "drop" (func $drop))))))
            (func $f (result (result (error string))) (canon lift (core func $i "f")
                (memory (core memory $i "memory"))))
            (export "deploy" (func $f)) (export "undeploy" (func $f)))"#
    );
    wat::parse_str(text).unwrap()
}

/// A component in a component, so many times.
fn nested(times: usize) -> Vec<u8> {
    const HEAD: [u8; 8] = *b"\0asm\x0d\0\x01\0";
    (0..times).fold(HEAD.to_vec(), |inner, _| {
        let mut outer = HEAD.to_vec();
        // The section of a component, and its length in LEB128 of five bytes.
        outer.push(4);
        let length = inner.len();
        outer.extend(
            (0..5).map(|n| ((length >> (7 * n)) & 0x7f) as u8 | if n < 4 { 0x80 } else { 0 }),
        );
        outer.extend(inner);
        outer
    })
}

pub fn cases() -> Vec<Case> {
    let loops = OUT_OF_TIME;
    vec![
        Case::misbehave("loop", loops, r#"{"do": "loop"}"#),
        Case::misbehave("recursion", "out of bounds memory access", r#"{"do": "recurse"}"#),
        Case::misbehave("memory, page by page", "more than 64 MiB of memory", r#"{"do": "memory"}"#),
        Case::misbehave("panic", "lost its head", r#"{"do": "panic"}"#),
        Case::misbehave("log of many lines", loops, r#"{"do": "flood"}"#),
        Case::misbehave("sleep", loops, r#"{"do": "sleep"}"#),
        Case::component("loop in the start function", loops, || {
            recipe(&format!("{WELL} (func $s (loop $l (br $l))) (start $s)"))
        }),
        Case::component("loop after the return", loops, || {
            let fields = r#"(func (export "post") (param i32) (loop $l (br $l)))"#;
            let lifting = r#"(post-return (core func $i "post"))"#;
            recipe_with("", &format!("{WELL} {fields}"), lifting)
        }),
        Case::component("trap after the return", "`unreachable`", || {
            let fields = r#"(func (export "post") (param i32) unreachable)"#;
            let lifting = r#"(post-return (core func $i "post"))"#;
            recipe_with("", &format!("{WELL} {fields}"), lifting)
        }),
        Case::component("trap in the start function", "`unreachable`", || {
            recipe(&format!("{WELL} (func $s unreachable) (start $s)"))
        }),
        Case::component("trap in a resource's destructor", "`unreachable`", || destructor("unreachable")),
        Case::component("loop in a resource's destructor", loops, || {
            destructor("(loop $l (br $l))")
        }),
        Case::component("division by zero", "divide by zero", || {
            recipe(&doing("(drop (i32.div_u (i32.const 1) (local.get $n)))"))
        }),
        Case::component("memory that is not there", "out of bounds memory access", || {
            recipe(&doing("(drop (i32.load (i32.const 0x7fffffff)))"))
        }),
        Case::component("a function that is not there", "undefined element", || {
            recipe(&format!(
                "(table 1 funcref) (type $t (func)) {}",
                doing("(call_indirect (type $t) (i32.const 7))")
            ))
        }),
        Case::component("a function of another type", "indirect call type mismatch", || {
            let call = doing("(call_indirect (type $t) (i32.const 0))");
            recipe(&format!(
                "(table funcref (elem $f)) (type $t (func (param i64))) {call}"
            ).replace("(call_indirect", "(i64.const 1) (call_indirect"))
        }),
        Case::component("an error at no address", "out of bounds", || {
            // The result's pointer leads out of the memory.
            recipe(r#"(func (export "g") (result i32) i32.const 0)
                      (func (export "f") (result i32) i32.const 0x7ffffff0)"#)
        }),
        Case::component("an error of no length", "out of bounds", || {
            recipe(r#"(func (export "g") (result i32) i32.const 0)
                      (func (export "f") (result i32)
                        (i32.store8 (i32.const 16) (i32.const 1))
                        (i32.store (i32.const 20) (i32.const 64))
                        (i32.store (i32.const 24) (i32.const 0x3fffffff))
                        i32.const 16)"#)
        }),
        Case::component("an error that is no text", "invalid utf-8", || {
            recipe(r#"(data (i32.const 64) "\ff\fe\fd\fc")
                      (func (export "g") (result i32) i32.const 0)
                      (func (export "f") (result i32)
                        (i32.store8 (i32.const 16) (i32.const 1))
                        (i32.store (i32.const 20) (i32.const 64))
                        (i32.store (i32.const 24) (i32.const 4))
                        i32.const 16)"#)
        }),
        Case::component("a result that is neither", "discriminant", || {
            recipe(r#"(func (export "g") (result i32) i32.const 0)
                      (func (export "f") (result i32)
                        (i32.store8 (i32.const 16) (i32.const 9))
                        i32.const 16)"#)
        }),
        Case::component("two memories in one module", "memories", || {
            recipe(&format!("{WELL} (memory $second 1)"))
        }),
        Case::component("much memory from the start", "64 MiB of memory", || memory(2000)),
        Case::component("more memory than there is room for", "memory", || memory(60_000)),
        Case::component("memory in many pieces", "64 MiB of memory", || {
            // Each a little, 12 of them, 8 MiB each.
            let one = "(core module $o (memory 128)) ";
            let all: String = (0..12).map(|_| "(core instance (instantiate $o)) ").collect();
            recipe_with(&format!("{one}{all}"), WELL, "")
        }),
        Case::component("tables without end", loops, || {
            recipe(&format!(
                "(table $t 1 funcref) {}",
                doing(
                    "(loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l))"
                )
            ))
        }),
        Case::component("a huge table", "table", || {
            recipe(&format!("{WELL} (table $t 100000000 funcref)"))
        }),
        Case::component("many core instances", "instances", || {
            let all: String = (0..300).map(|_| "(core instance (instantiate $o)) ").collect();
            recipe_with(&format!("(core module $o) {all}"), WELL, "")
        }),
        Case::component("components in components", "not valid", || nested(10_000)),
        Case::component("10,000 functions", "`unreachable`", || {
            let all: String = (0..10_000).map(|n| format!("(func (drop (i32.const {n})))")).collect();
            recipe(&format!("{} {all}", doing("unreachable")))
        }),
        Case::component("a function of 200,000 steps", "`unreachable`", || {
            let all = "(local.set $n (i32.mul (local.get $n) (i32.const 7)))".repeat(50_000);
            recipe(&doing(&format!("{all} unreachable")))
        }),
        Case::component("10,000 nested blocks", "", || {
            let (open, close) = ("block ".repeat(10_000), "end ".repeat(10_000));
            recipe(&doing(&format!("{open}{close}")))
        })
        .goes_well(),
        Case::component("10,000 imports", "exceeds limit", || {
            let all: String = (0..10_000)
                .map(|n| format!("(import \"evil:host{n}/door@0.1.0\" (instance))"))
                .collect();
            recipe_with(&all, WELL, "")
        }),
        Case::component("an import that does not exist", "evil:host/door@0.1.0", || {
            recipe_with("(import \"evil:host/door@0.1.0\" (instance))", WELL, "")
        }),
        Case::component("an import of another version", "cerebro:recipe/log@0.9.0", || {
            recipe_with("(import \"cerebro:recipe/log@0.9.0\" (instance))", WELL, "")
        }),
        Case::component("an import of another type", "build it against", || {
            let evil = r#"(import "cerebro:recipe/log@0.1.0" (instance
                (export "write" (func (param "a" u64)))))"#;
            recipe_with(evil, WELL, "")
        }),
        Case::component("a core module", "not a component", || wat::parse_str("(module)").unwrap()),
        Case::component("no WebAssembly", "not WebAssembly", || vec![0x7f; 1 << 20]),
        Case::component("nothing at all", "not WebAssembly", Vec::new),
        Case::component("a component that is cut off", "not valid", || {
            let mut bytes = recipe(WELL);
            bytes.truncate(bytes.len() / 2);
            bytes
        }),
        Case::component("a component with a bit turned", "", || {
            let mut bytes = recipe(WELL);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            bytes
        }),
        Case::hostile("division in a language", "divide by zero", |_| json!({"do": "divide", "by": 0})),
        Case::hostile("much memory at once", "64 MiB of memory", |_| {
            json!({"do": "allocate", "bytes": 1_000_000_000})
        }),
        Case::hostile("exit", "exit", |_| json!({"do": "exit", "code": 1})),
        Case::hostile("exit as if all were well", "exit", |_| json!({"do": "exit", "code": 0})),
        Case::hostile("an error of 20 MB", "eeee", |_| json!({"do": "error", "size": 20_000_000})),
        Case::hostile("a panic of 5 MB", "pppp", |_| json!({"do": "panic", "size": 5_000_000})),
        Case::hostile("a line of 20 MB", "", |_| json!({"do": "line", "size": 20_000_000}))
            .goes_well(),
        Case::hostile("a log for terminals", "", |_| {
            json!({"do": "stdout", "bytes": b"\x1b[2J\x1b]0;owned\x07\0\r\x08\n", "times": 1})
        })
        .goes_well()
        .then(|ground| {
            let log = ground.machine.log.lock().unwrap();
            let controls = |text: &str| text.chars().any(|c| c.is_control() && c != '\t');
            log.iter().find(|line| controls(&line.message)).map(|line| format!("{line:?}"))
        }),
        Case::hostile("a log that is no text", "", |_| {
            json!({"do": "stdout", "bytes": [0xff, 0xfe, 0x0a, 0xc0, 0x80, 0x0a], "times": 100})
        })
        .goes_well(),
        Case::hostile("a log without line ends", "", |_| {
            json!({"do": "stdout", "bytes": vec![b'x'; 10_000], "times": 500})
        })
        .goes_well(),
    ]
}
