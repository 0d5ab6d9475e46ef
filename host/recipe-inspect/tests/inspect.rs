//! What is refused at the door, and what is let in.
#![allow(clippy::unwrap_used, reason = "a test")]

use cerebro_model::ComponentKind;
use cerebro_recipe_inspect::{InspectError, inspect};
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
    let imports = ["wasi:http/types@0.2.6", "cerebro:recipe/log@0.2.0", "wasi:io/poll@0.2.6"];
    let error = inspect(&component(&imports, &["deploy", "undeploy"])).unwrap_err().to_string();
    assert!(error.contains("wasi:http/types") && error.contains("log@0.2.0"), "{error}");
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
