#!/bin/bash
# Static analysis of every C file of src and workers: clang-tidy (.clang-tidy,
# clang's analyzer in it) and cppcheck.  Says what it found; 1 if it did.
#
#   check.sh [all]   all: and scan-build's analyzer over whole builds
#   JOBS             at a time (2)
set -eu

cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
src=${NGX_SRC:-/usr/share/nginx/src}
jobs=${JOBS:-2}
out=build/check
mkdir -p "$out"

objs=build/ngx/objs
[ -f "$objs/ngx_auto_config.h" ] || {
    echo 'check: run make build first' >&2
    exit 1
}

module="-Isrc/contract -Isrc/redis -Isrc/edge -Isrc -isystem $objs"
for dir in core event event/modules event/quic os/unix http http/modules \
    http/v2 http/v3; do
    module="$module -isystem $src/src/$dir"
done
workers="-Isrc/contract -Iworkers \
    $(pkg-config --cflags libuv hiredis libcurl libpq jansson)"
flags='-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter'

# One file a line with what its compiler wants.
{
    for file in src/*.c src/redis/*.c src/edge/*.c src/contract/*.c; do
        echo "$file -- $flags $module"
    done
    for file in workers/*.c; do
        echo "$file -- $flags $workers"
    done
} > "$out/files"

bad=0

# shellcheck disable=SC2016
if ! xargs -P "$jobs" -d '\n' -n 1 sh -c \
    'out=$(clang-tidy --quiet $0 2>&1) && exit 0
     printf "%s\n" "$out" | grep -v "warnings\? generated"; exit 1' \
    < "$out/files" > "$out/tidy" 2>&1
then
    cat "$out/tidy"
    bad=1
fi

# An nginx module's callbacks have their types from nginx.
cppcheck --quiet -j "$jobs" --enable=warning,portability,performance \
    --inline-suppr --suppress=missingInclude \
    --suppress=invalidPrintfArgType_uint \
    --suppress=normalCheckLevelMaxBranches '-DCRLF="\r\n"' --std=c11 --error-exitcode=1 \
    --template='{file}:{line}: {id}: {message}' -Isrc/contract -Iworkers \
    -Isrc/redis -Isrc/edge src workers 2>&1 || bad=1

if [ "${1:-}" = all ]; then
    scan=$(command -v scan-build || find /usr/bin -name 'scan-build-[0-9]*' \
        | sort -V | tail -n 1)
    [ -n "$scan" ] || {
        echo 'check: no scan-build' >&2
        exit 1
    }
    rm -rf build/scan
    "$scan" --status-bugs --use-cc=clang -o "$out/scan" --exclude "$src" \
        make -s -j "$jobs" O=build/scan WERROR= module workers aictl \
        > "$out/scan.log" 2>&1 || {
        cat "$out/scan.log"
        bad=1
    }
fi

exit "$bad"
