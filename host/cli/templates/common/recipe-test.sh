#!/bin/sh
# Builds {{ name }}.wasm and runs it in a directory that stands for a machine's `/`.
set -eu
cd "$(dirname "$0")"
sh build.sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
root=$dir/root
mkdir "$root"
run() {
    cerebro recipe run {{ name }}.wasm --root "$root" --grants @grants.json "$@"
}
# What it would do is known to its end, and a plan does nothing.
run --version 1.0 --plan --out "$dir/plan"
[ ! -e "$root/opt" ]
# It does just that, and can be taken back.
run --version 1.0 --apply-plan "$dir/plan"
run --roll-back
[ ! -e "$root/opt" ]
run --version 1.0
# A recipe is safe to repeat: it runs again after a crash.
run --version 1.0
grep -q 1.0 "$root/opt/{{ name }}/greeting"
run --version 1.0 --call undeploy
[ ! -e "$root/opt/{{ name }}" ]
echo "{{ name }}: all as it should be"
