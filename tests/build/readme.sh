#!/bin/sh
# The programs that the README shows are the files of examples/hello.
# SPDX-License-Identifier: MPL-2.0
set -eu
src=${TERN_SRCDIR:-$(dirname "$0")/../..}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for name in send recv; do
    sed '1,/^#include <tern.h>$/d' "$src/examples/hello/$name.c" > "$work/file"
    awk -v name="//  $name.c" '
        /^```c$/ { inside = 1; mine = 0; next }
        /^```$/ { inside = 0 }
        inside && $0 == name { mine = 1; next }
        inside && mine && /^#include <tern.h>$/ { next }
        inside && mine' "$src/README.md" > "$work/shown"
    test -s "$work/shown"
    diff -u "$work/file" "$work/shown"
done
