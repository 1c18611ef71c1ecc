#!/bin/sh
#  main_job.sh - the main job loses nothing, on a text of our own
#
#  What ./quickstart shows, with a text that is there on every machine.
#  SPDX-License-Identifier: MPL-2.0

set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
awk 'BEGIN {
    for (line = 1; line <= 60000; line++) {
        print "line " line " \"quoted\" back\\slash caf\303\251 " line * line
    }
}' > "$folder/text"
"$TERN_SRCDIR/scripts/main-job" "$TERN_BUILDDIR" "$folder/text"

#  Nothing of it stays: it works in TMPDIR only.
mkdir "$folder/tmp"
TMPDIR=$folder/tmp "$TERN_SRCDIR/scripts/main-job" "$TERN_BUILDDIR" \
    "$folder/text" > "$folder/said"
[ -z "$(ls "$folder/tmp")" ]

#  A loss would be seen: the account of a job whose consumers printed nothing.
: > "$folder/consumer-1.1.json"
awk '{ print }' "$folder/text" > "$folder/half-1"
if awk -v took=1 -f "$TERN_SRCDIR/scripts/main-job.d/account.awk" \
    "$folder/half-1" "$folder/consumer-1.1.json" > "$folder/said"; then
    echo "an empty output passed for a whole one"
    exit 1
fi
