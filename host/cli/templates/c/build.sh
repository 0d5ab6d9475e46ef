#!/bin/sh
# Builds {{ name }}.wasm.
set -eu
cd "$(dirname "$0")"
world=$(echo {{ world }} | tr - _)
mkdir -p build
sources=component.c
[ ! -d edit ] || sources="$sources edit/*.c"
wit-bindgen c wit --world {{ world }} --out-dir build >/dev/null
# shellcheck disable=SC2086 # sources are words
"${ZIG:-python-zig}" cc --target=wasm32-wasi -mexec-model=reactor -Os -flto -s -Wall \
    -Wl,-z,stack-size=65536 -I build -o build/core.wasm \
    $sources "build/$world.c" "build/${world}_component_type.o"
# With printf and the like, WASI's adapter is needed too: `--adapt FILE`.
wasm-tools component new build/core.wasm -o {{ name }}.wasm
