#!/bin/sh
#  layers.sh - the folder is the layer
#
#  SPDX-License-Identifier: MPL-2.0

cd "$TERN_SRCDIR" || exit 99
exec scripts/check-layers
