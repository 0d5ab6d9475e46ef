//! What is refused at the door, and what is let in.
#![allow(clippy::unwrap_used, reason = "a test")]

use cerebro_model::{ComponentKind, Grants};
use cerebro_recipe_inspect::{
    Effects, InspectError, Language, WantsError, embed_wants, inspect, interface_of,
};
use std::error::Error;

/// A component with these imports and exports; each export returns `result<_, string>`.
fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let imports: String =
        imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
    let exports: String =
        exports.iter().map(|name| format!("(export \"{name}\" (func $f))")).collect();
    let text = format!(
        r#"(component {imports}
            (core module $m
                (memory (export "memory") 1)
                (func (export "f") (result i32) i32.const 0)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $f (result (result (error string))) (canon lift (core func $i "f")
                (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
            {exports})"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn a_recipe_says_what_it_imports() {
    let imports = ["cerebro:recipe/log@0.1.0", "cerebro:recipe/command@0.1.2"];
    let bytes = component(&imports, &["deploy", "undeploy"]);
    let found = inspect(&bytes).unwrap();
    assert_eq!(found.kind, ComponentKind::Recipe);
    assert_eq!(found.imports, ["cerebro:recipe/command@0.1.2", "cerebro:recipe/log@0.1.0"]);
    assert_eq!(found.exports, ["deploy", "undeploy"]);
    assert_eq!(found.size, bytes.len() as u64);
}

#[test]
fn what_is_no_component_is_refused() {
    assert!(matches!(inspect(b"#!/bin/sh"), Err(InspectError::NotWasm)));
    assert!(matches!(inspect(b""), Err(InspectError::NotWasm)));
    let module = wat::parse_str("(module)").unwrap();
    assert!(matches!(inspect(&module), Err(InspectError::Module)));
    let whole = component(&[], &["deploy", "undeploy"]);
    for end in [5, 9, whole.len() / 2, whole.len() - 1] {
        let error = inspect(&whole[..end]).unwrap_err();
        assert!(matches!(error, InspectError::Invalid(_)) && error.source().is_some(), "{end}");
    }
}

#[test]
fn what_the_world_asks_for_and_is_missing_is_named() {
    let error = inspect(&component(&[], &["run"])).unwrap_err().to_string();
    for part in ["`run`", "`deploy`", "`undeploy`", "`check`"] {
        assert!(error.contains(part), "{error}");
    }
    let error = inspect(&component(&[], &["deploy"])).unwrap_err().to_string();
    assert!(error.contains("not `undeploy`"), "{error}");
    let both = component(&[], &["deploy", "undeploy", "check"]);
    assert!(matches!(inspect(&both), Err(InspectError::TwoWorlds)));
    let error = inspect(&component(&[], &["check"])).unwrap_err().to_string();
    assert!(error.contains("`check`") && error.contains("result<report, string>"), "{error}");
}

#[test]
fn imports_that_cerebro_does_not_have_are_named_all_at_once() {
    let imports = ["wasi:nn/types@0.2.6", "cerebro:recipe/log@0.2.0", "wasi:io/poll@0.2.6"];
    let error = inspect(&component(&imports, &["deploy", "undeploy"])).unwrap_err().to_string();
    assert!(error.contains("wasi:nn/types") && error.contains("log@0.2.0"), "{error}");
    assert!(!error.contains("wasi:io"), "{error}");
}

#[test]
fn exports_of_inner_components_do_not_count() {
    let text = r#"(component (component (import "deploy" (func $f)) (export "deploy" (func $f))))"#;
    let bytes = wat::parse_str(text).unwrap();
    assert!(matches!(inspect(&bytes), Err(InspectError::NoWorld(exports)) if exports.is_empty()));
}

#[test]
fn a_name_for_a_type_is_no_import() {
    let text = r#"(component
        (type $level (enum "low" "high"))
        (import "level" (type (eq $level))))"#;
    let error = inspect(&wat::parse_str(text).unwrap()).unwrap_err();
    assert!(matches!(error, InspectError::NoWorld(_)), "{error}");
}

#[test]
fn what_a_component_wants_is_part_of_it() {
    let plain = component(&["cerebro:recipe/files@0.1.0"], &["deploy", "undeploy"]);
    assert_eq!(inspect(&plain).unwrap().wants, None);
    let wants: Grants = serde_json::from_value(serde_json::json!({
        "write": ["/opt/app"], "commands": [{ "argv": ["/usr/bin/psql", "-c", "a b"], "user": "postgres" }],
        // Longer than one byte can count.
        "hosts": (0..40).map(|n| format!("host-{n}.internal:5432")).collect::<Vec<_>>(),
    }))
    .unwrap();
    let whole = embed_wants(&plain, &wants).unwrap();
    assert!(whole.starts_with(&plain));
    let found = inspect(&whole).unwrap();
    assert_eq!(found.wants.as_deref(), Some(&wants));
    assert_eq!(found.imports, inspect(&plain).unwrap().imports);
    assert!(matches!(embed_wants(&whole, &wants), Err(WantsError::Already)));
    assert!(matches!(embed_wants(b"#!/bin/sh", &wants), Err(WantsError::NotWasm)));
}

/// A component of that section in its core module, and perhaps another around it.
fn with_sections(inner: &str, outer: &str) -> Vec<u8> {
    let mut text = String::from_utf8(
        br#"(component
        (core module $m INNER
            (memory (export "memory") 1)
            (func (export "f") (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m))
        (func $f (result (result (error string))) (canon lift (core func $i "f")
            (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
        (export "deploy" (func $f)) (export "undeploy" (func $f)) OUTER)"#
            .to_vec(),
    )
    .unwrap();
    let section = |json: &str| match json {
        "" => String::new(),
        json => format!("(@custom \"cerebro:wants\" \"{}\")", json.replace('"', "\\22")),
    };
    text = text.replace("INNER", &section(inner)).replace("OUTER", &section(outer));
    wat::parse_str(text).unwrap()
}

#[test]
fn a_section_of_the_core_module_counts_and_must_not_contradict() {
    let some = r#"{"read":["/etc"]}"#;
    let wants = |bytes: &[u8]| inspect(bytes).map(|found| found.wants);
    let found = wants(&with_sections(some, "")).unwrap().unwrap();
    assert_eq!(found.read[0].as_str(), "/etc");
    assert!(wants(&with_sections(some, some)).unwrap().is_some());
    let error = wants(&with_sections(some, "{}")).unwrap_err();
    assert!(matches!(error, InspectError::Wants(WantsError::Twice)), "{error}");
    for bad in ["{", "[1]", r#"{"raed":[]}"#, r#"{"read":["etc"]}"#] {
        let error = wants(&with_sections(bad, "")).unwrap_err().to_string();
        assert!(error.contains("`cerebro:wants`") && error.contains("`grants`"), "{error}");
    }
}

/// A component whose core module names these producers.
fn made_by(field: &str, value: &str) -> Vec<u8> {
    let text = with_sections("", "");
    let mut section = vec![9];
    section.extend(b"producers");
    section.extend([1, field.len() as u8]);
    section.extend(field.bytes());
    section.extend([1, value.len() as u8]);
    section.extend(value.bytes());
    section.push(0);
    let mut bytes = text;
    bytes.extend([0, section.len() as u8]);
    bytes.extend(section);
    bytes
}

#[test]
fn the_language_is_told_by_who_made_it() {
    for (field, value, language) in [
        ("language", "Rust", Language::Rust),
        ("language", "C11", Language::C),
        ("processed-by", "clang", Language::C),
        ("processed-by", "TinyGo", Language::Go),
        ("processed-by", "componentize-py", Language::Python),
        ("processed-by", "ComponentizeJS", Language::JavaScript),
        ("sdk", "something", Language::Unknown),
    ] {
        assert_eq!(inspect(&made_by(field, value)).unwrap().language, language, "{value}");
    }
    assert_eq!(inspect(&with_sections("", "")).unwrap().language, Language::Unknown);
}

#[test]
fn each_interface_tells_its_effects_and_grants() {
    let told = |import: &str| interface_of(import).map(|found| (found.effects, found.grants));
    assert_eq!(told("cerebro:recipe/command@0.1.0"), Some((Effects::Opaque, &["commands"][..])));
    assert_eq!(
        told("cerebro:recipe/files@0.1.2"),
        Some((Effects::Reversible, &["read", "write"][..]))
    );
    assert_eq!(
        told("wasi:http/outgoing-handler@0.2.6"),
        Some((Effects::Opaque, &["urls", "hosts"][..]))
    );
    assert_eq!(told("wasi:httpx/outgoing-handler@0.2.6"), None);
    assert_eq!(told("wasi:io/poll@0.2.6"), None);
    assert_eq!(told("cerebro:recipe/wasi:http@0.1.0"), None);
}
