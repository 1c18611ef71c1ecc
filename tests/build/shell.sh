#!/bin/sh
#  shell.sh - no script has a fault that shellcheck knows
#
#  SPDX-License-Identifier: MPL-2.0

cd "$TERN_SRCDIR" || exit 99
command -v shellcheck > /dev/null || {
    echo "shellcheck is not installed"
    exit 77
}
exec scripts/lint shell
