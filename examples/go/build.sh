#!/bin/sh
# Builds release.wasm and http-check.wasm beside this file. Needs Go 1.27 or later, wasm-tools,
# `cargo install wit-bindgen-cli --version 0.63.0 --locked`, and the path of WASI's adapter in
# WASI_ADAPTER: ../../docs/languages.md says where to find it. GO_PKG may name a copy of
# go.bytecodealliance.org/pkg, where it cannot be fetched.
set -eu
cd "$(dirname "$0")"
for name in release http-check; do
    out=build/$name
    rm -rf "$out"
    wit-bindgen go ../wit --world "$name" --out-dir "$out" --format=false >/dev/null
    mkdir "$out/export_wit_world"
    cp "$name"/*.go "$out/export_wit_world"
    (
        cd "$out"
        [ -z "${GO_PKG-}" ] || go mod edit -replace "go.bytecodealliance.org/pkg=$GO_PKG"
        GOFLAGS=-mod=mod GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared \
            -ldflags='-s -w -checklinkname=0' -o core.wasm .
    )
    wasm-tools component embed ../wit --world "$name" "$out/core.wasm" -o "$out/embedded.wasm"
    wasm-tools component new "$out/embedded.wasm" --adapt "$WASI_ADAPTER" -o "$name.wasm"
done
