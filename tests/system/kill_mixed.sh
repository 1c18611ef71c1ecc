#!/bin/sh
#  kill_mixed.sh - eight kills under mixed load; CI runs hundreds
#
#  SPDX-License-Identifier: MPL-2.0

exec "$TERN_SRCDIR/tests/system/kill-cycles" --mixed "$TERN_BUILDDIR" 8 \
    ${TERN_SEED+"$TERN_SEED"}
