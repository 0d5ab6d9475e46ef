#!/bin/sh
# Builds {{ name }}.wasm. GO_PKG may name a copy of go.bytecodealliance.org/pkg, where it cannot be
# fetched.
set -eu
cd "$(dirname "$0")"
adapter=$PWD/wasi_snapshot_preview1.reactor.wasm
rm -rf build
wit-bindgen go wit --world {{ world }} --out-dir build --format=false >/dev/null
mkdir build/export_wit_world
cp ./*.go build/export_wit_world
[ ! -d edit ] || cp -r edit build
(
    cd build
    [ -z "${GO_PKG-}" ] || go mod edit -replace "go.bytecodealliance.org/pkg=$GO_PKG"
    GOFLAGS=-mod=mod GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared \
        -ldflags='-s -w -checklinkname=0' -o core.wasm .
)
wasm-tools component embed wit --world {{ world }} build/core.wasm -o build/embedded.wasm
wasm-tools component new build/embedded.wasm --adapt "$adapter" -o {{ name }}.wasm
