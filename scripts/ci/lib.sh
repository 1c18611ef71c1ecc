#  lib.sh - what the stages share
#
#  Each stage is a script that can be run alone, from anywhere, and builds in a
#  folder of its own, ./build-STAGE or so.  SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh

set -eu
cd "$(dirname "$0")/../.."
stage=$(basename "$0")
# shellcheck disable=SC2034  # the stages use it
build=build-$stage
jobs=${JOBS:-$(nproc)}

#  only_configure [OPTION...]
only_configure () {
    [ -x configure ] || ./autogen.sh > /dev/null 2>&1
    mkdir -p "$build"
    (cd "$build" && ../configure --quiet "$@")
}

configure_and_build () {
    only_configure "$@"
    make -C "$build" -s "-j$jobs"
}

#  check [COMMAND...]: make $target, under a command if one is given; what a
#  failed test said is shown, up to a limit.
target=check
check () {
    if "$@" make -C "$build" -k -s "-j$jobs" "$target"; then
        return 0
    fi
    echo "--- the end of $build/test-suite.log"
    tail -n 200 "$build/test-suite.log" 2> /dev/null
    return 1
}
