#!/bin/sh
# Builds {{ name }}.wasm.
set -eu
cd "$(dirname "$0")"
cargo build --release --target wasm32-wasip2
cp "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/release/$(echo {{ name }} | tr - _).wasm" {{ name }}.wasm
