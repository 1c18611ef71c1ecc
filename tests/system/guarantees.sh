#!/bin/sh
#  guarantees.sh - every test that docs/GUARANTEES.md names is there
#
#  SPDX-License-Identifier: MPL-2.0
# shellcheck disable=SC2013  # the names are words

set -eu
cd "$TERN_SRCDIR"
text=docs/GUARANTEES.md
missing=0

for name in $(grep -oE '(unit|system)/[a-z_]+:[a-z0-9_]+' $text |
    sort -u); do
    file=tests/${name%:*}.c
    if ! grep -Eq "^(test_)?${name#*:} \(" "$file"; then
        echo "$text: $file has no ${name#*:}"
        missing=$((missing + 1))
    fi
done
for name in $(grep -oE 'stories/[0-9]+-[a-z-]+' $text | sort -u); do
    if [ ! -f "tests/scenarios/${name#*/}.txt" ]; then
        echo "$text: no tests/scenarios/${name#*/}.txt"
        missing=$((missing + 1))
    fi
done
for name in $(grep -oE 'system/(kill-cycles|[a-z_]+\.(sh|tap))' $text |
    sort -u); do
    if [ ! -x "tests/$name" ]; then
        echo "$text: no tests/$name"
        missing=$((missing + 1))
    fi
done

#  A row of a promise without a test is none.
if grep -E '^\| ' $text | grep -vE '^\| promise \||^\|---' |
    grep -vE '(unit|system|stories)/'; then
    echo "$text: the rows above name no test"
    missing=$((missing + 1))
fi
[ "$missing" -eq 0 ]
