#!/bin/sh
#  autogen.sh - generate configure, as a clone needs and a release does not
#
#  SPDX-License-Identifier: MPL-2.0

cd "$(dirname "$0")" && exec autoreconf --force --install
