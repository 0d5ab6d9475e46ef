#!/bin/sh
# Builds release.wasm and http-check.wasm beside this file. Needs Rust 1.87 or later, and once
# `rustup target add wasm32-wasip2`.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked --target wasm32-wasip2
cp "$target/wasm32-wasip2/release/example_release.wasm" release.wasm
cp "$target/wasm32-wasip2/release/example_http_check.wasm" http-check.wasm
