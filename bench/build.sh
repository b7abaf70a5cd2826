#!/bin/sh
# Builds the mock provider and the load generator: build.sh OUT_DIR.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
out=$1

mkdir -p "$out"
for name in mock load; do
    # Another run may be using the old one.
    "${CC:-cc}" -std=c11 -O2 -g -Wall -Wextra -Werror \
        -o "$out/$name.$$" "$here/$name"*.c
    mv "$out/$name.$$" "$out/$name"
done
