#!/bin/sh
#  docs.sh - documents and code say the same
#
#  SPDX-License-Identifier: MPL-2.0

cd "$TERN_SRCDIR" || exit 99
exec scripts/check-docs
