#!/bin/bash
# make test: everything, ending with prove's summary.
#
#   TESTS  the tests to run (t/*.t)
#   JOBS   tests at a time (2)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin
umask 022

# Before the terminal is given up: sudo may ask.
tools/packages.sh test
exec < /dev/null

jobs=$(nproc)
echo 'test: building with gcc' >&2
make -s -j "$jobs" CC=gcc build
if [ -z "${TESTS:-}" ]; then
    echo 'test: building with clang, and with sanitizers' >&2
    make -s -j "$jobs" CC=clang build
    make -s -j "$jobs" CC=gcc SAN=1 workers aictl units
    # The tests then run these workers, this aictl, and the units of both.
    export AI_T_BUILD=$root/build/san
fi

if [ -f t/node/package-lock.json ]; then
    # The lock names no addresses: npm asks the registry it is configured for.
    if ! cmp -s t/node/package-lock.json t/node/node_modules/.lock; then
        echo 'test: npm ci in t/node' >&2
        (cd t/node && npm ci --no-audit --no-fund --loglevel=error)
        cp t/node/package-lock.json t/node/node_modules/.lock
    fi
fi

# What tests may share: the Postgres cluster they copy.
AI_T_CACHE=$(mktemp -d)
export AI_T_CACHE
chmod 755 "$AI_T_CACHE"
trap 'rm -rf "$AI_T_CACHE"' EXIT

# shellcheck disable=SC2086
prove -j"${JOBS:-2}" -It/lib ${TESTS:-t/*.t}
