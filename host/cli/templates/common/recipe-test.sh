#!/bin/sh
# Builds {{ name }}.wasm and runs it in a directory that stands for a machine's `/`.
set -eu
cd "$(dirname "$0")"
sh build.sh
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
run() {
    cerebro recipe run {{ name }}.wasm --root "$root" --grants @grants.json "$@"
}
run --version 1.0
# A recipe is safe to repeat: it runs again after a crash.
run --version 1.0
grep -q 1.0 "$root/opt/{{ name }}/greeting"
run --version 1.0 --call undeploy
[ ! -e "$root/opt/{{ name }}" ]
echo "{{ name }}: all as it should be"
