#!/bin/sh
#  kill_cycles.sh - a dozen kills; CI runs hundreds (scripts/ci/kills)
#
#  SPDX-License-Identifier: MPL-2.0

exec "$TERN_SRCDIR/tests/system/kill-cycles" "$TERN_BUILDDIR" 12 ${TERN_SEED+"$TERN_SEED"}
