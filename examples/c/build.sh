#!/bin/sh
# Builds release.wasm and http-check.wasm beside this file. Needs, once,
# `pip install -r requirements.txt` (Zig's C compiler and wasm-tools) and
# `cargo install wit-bindgen-cli --version 0.63.0 --locked`.
set -eu
cd "$(dirname "$0")"
flags="--target=wasm32-wasi -mexec-model=reactor -Os -flto -s -Wall -Wextra -Wno-unused-parameter"
flags="$flags -Wl,-z,stack-size=65536"
for name in release http-check; do
    bindings=build/$name
    mkdir -p "$bindings"
    wit-bindgen c ../wit --world "$name" --out-dir "$bindings" >/dev/null
    world=$(echo "$name" | tr - _)
    # shellcheck disable=SC2086 # flags are words
    "${ZIG:-python-zig}" cc $flags -I "$bindings" -o "$bindings/core.wasm" "$name"/*.c options.c \
        "$bindings/$world.c" "$bindings/${world}_component_type.o"
    wasm-tools component new "$bindings/core.wasm" -o "$name.wasm"
done
