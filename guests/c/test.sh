#!/bin/sh
# Holds the edits to the cases of tests/edits.json. Needs a C compiler.
set -eu
cd "$(dirname "$0")"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${CC:-cc}" -std=c11 -O1 -Wall -Wextra -Werror -o "$dir/edit_test" edit/*.c edit_test.c -lm
"$dir/edit_test" ../../tests/edits.json
