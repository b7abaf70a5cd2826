#!/bin/bash
# make test, and with --full make test-full: everything, ending with prove's
# summary.  Some tests run again against other builds (pass, below): an nginx
# with AddressSanitizer, workers with ThreadSanitizer or in valgrind, scripts
# that count.  What all of it reached is printed at the end.
#
#   TESTS  the tests to run instead (t/*.t), once, with the ordinary build
#   JOBS   tests at a time (2)
#
# What the tests themselves read:
#
#   AI_T_FULL           the long form of all that have one (make test-full):
#                       02-fuzz, 04-check, 10-scripts-random, 82-deaths-resume,
#                       84-postgres, 87-kill, 87-reload, 88-sdk-traffic,
#                       95-chaos, 95-chaos-replay
#   AI_T_SEED           repeats a random run, which prints its own
#   AI_T_FUZZ_SECONDS   of each fuzzer (10; full 3600); AI_T_FUZZ: their names
#   AI_T_STEPS          of 10-scripts-random (20000; full 100000)
#   AI_T_CUTS           of 82-deaths-resume, a stream (4; full 0: all places)
#   AI_T_STREAMS        of 95-chaos (100; full 300) and 95-chaos-replay (150;
#                       full 1000); AI_T_CALM: nothing is killed there
#   AI_T_ONLY           scenarios of 88-faults, separated by commas
#   AI_T_KEEP           leaves the folders of a test, with logs and data
#   AI_T_LOG_LEVEL      of nginx (info)
#   AI_T_BUILD          other workers, aictl and units than those in build
#   AI_T_NGINX          another nginx, with its module beside it
#   AI_T_REDIS_BUILD    another build of 20-redis-transport's module
#   AI_T_SCRIPTS, AI_T_COVERED, AI_T_COVERAGE, AI_T_CACHE   set below
#   AI_SHARED           recorded traffic (../shared); without: some are skipped
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
PATH=$PATH:/usr/sbin:/sbin
umask 022
full=
if [ "${1:-}" = --full ]; then
    full=1
    export AI_T_FULL=1
fi

# Before the terminal is given up: sudo may ask.
tools/packages.sh "${full:+full-}test"
exec < /dev/null

jobs=$(nproc)
passes=build/pass
rm -rf "$passes"

# pass NAME 'NAME=VALUE …' TEST…: these tests, with this environment, once
# more, as build/pass/NAME/*.t.
pass() {
    local name=$1 env=$2 test
    shift 2
    mkdir -p "$passes/$name"
    for test in "$@"; do
        cat > "$passes/$name/${test##*/}" << END
# $test in another build.
exec 'env', qw($env), \$^X, '-It/lib', '$test' or die "env: \$!\\n";
END
    done
}

# skipped NAME WHY: a pass that cannot be, as a test that says so.
skipped() {
    mkdir -p "$passes/$1"
    cat > "$passes/$1/skipped.t" << END
# The pass $1 is left out.
use Test::More;
diag('SKIPPED: pass $1: $2');
plan skip_all => '$2';
END
}

scripts_pass() {
    local dir=$root/build/lua

    rm -rf "$dir"
    mkdir -p "$dir/hit"
    tools/cover-lua.pl src/scripts "$dir"
    pass scripts "AI_T_SCRIPTS=$dir AI_T_COVERED=$dir/hit AI_T_STEPS=3000" \
        t/10-*.t
    counted=$dir
}

# The module counts what ran, in an nginx with AddressSanitizer where Debian's
# sources can be had, else in the ordinary one.
nginx_pass() {
    local tests='' test
    # Left out of t/8*: what the edge has no part in or has it in other tests
    # of the pass (84-postgres, 86-alloc-workers), what counts allocations, of
    # which those of gcov itself then fail (86-alloc-edge, 86-alloc-jwt), and
    # what takes more than a minute (83-redis-away, 83-sentinel).
    for test in t/0[67]-*.t t/20-*.t t/[46]*.t t/7[2-6]*.t t/8*.t \
        t/95-chaos-replay.t
    do
        case $test in
            */83-redis-away.t|*/83-sentinel.t|*/84-*|*/86-*) ;;
            *) tests="$tests $test" ;;
        esac
    done
    if COV=1 tools/asan-nginx.sh build/asan; then
        counted="$counted $root/build/asan/module"
        # shellcheck disable=SC2086
        pass asan "AI_T_NGINX=$root/build/asan/nginx" $tests
        return
    fi
    skipped asan 'no nginx with AddressSanitizer, see above'
    NGX_CC_OPT=--coverage NGX_LD_OPT=--coverage tools/module.sh build/cov
    ln -sf "$(command -v nginx)" build/cov/nginx
    counted="$counted $root/build/cov"
    # shellcheck disable=SC2086
    pass cov "AI_T_NGINX=$root/build/cov/nginx" $tests
}

# What bodies parsed off the loop, name look-ups and catalogs do in threads.
tsan_pass() {
    make -s -j "$jobs" CC=gcc SAN=tsan workers aictl
    pass tsan "AI_T_BUILD=$root/build/tsan" t/30-worker-http.t \
        t/67-large.t t/30-worker-provider.t ${full:+t/30-*.t t/50-*.t t/6*.t}
}

# in_valgrind WRAPPER PROGRAM [LOG]: a script that runs it in memcheck.
in_valgrind() {
    mkdir -p "$(dirname "$1")"
    printf '#!/bin/sh\nexec valgrind %s %s %s "$@"\n' \
        "-q --error-exitcode=99 --leak-check=full ${3:+--log-file=$3}" \
        "--show-leak-kinds=definite --errors-for-leak-kinds=definite" \
        "--suppressions=$root/t/lib/valgrind.supp $2" > "$1"
    chmod +x "$1"
}

# The ordinary workers and units, and an nginx, in memcheck.
valgrind_pass() {
    local dir=$root/build/valgrind name

    rm -rf "$dir"
    make -s -j "$jobs" CC=gcc O=build/memcheck workers aictl \
        CFLAGS="-O1 -g '-DSUPERVISOR_EXE=\"$dir/ai-workers\"'"
    for name in ai-workers aictl; do
        in_valgrind "$dir/$name" "$root/build/memcheck/$name" sanitizer.%p
    done
    for name in build/t/*_test; do
        in_valgrind "$dir/t/${name##*/}" "$root/$name"
    done
    in_valgrind "$dir/nginx" "$(command -v nginx)" sanitizer.%p
    ln -s "$root/build/ngx_http_ai_module.so" "$dir/"
    pass valgrind "AI_T_BUILD=$dir AI_T_NGINX=$dir/nginx" t/01-units.t \
        t/30-worker-provider.t t/30-worker-echo.t t/50-db-ledger.t t/60-stream.t \
        t/61-body.t t/65-jobs.t t/66-models.t
}

echo 'test: building with gcc' >&2
make -s -j "$jobs" CC=gcc build
set -- t/*.t
if [ -z "${TESTS:-}" ]; then
    echo 'test: building with clang, with sanitizers, with counters' >&2
    make -s -j "$jobs" CC=clang build
    make -s -j "$jobs" CC=clang SAN=fuzz fuzzers
    make -s -j "$jobs" CC=gcc SAN=1 COV=1 workers aictl units
    # The tests then run these workers, this aictl, and the units of both.
    export AI_T_BUILD=$root/build/san-cov
    scripts_pass
    counted="$counted $AI_T_BUILD"
    nginx_pass
    tsan_pass
    [ -z "$full" ] || valgrind_pass
    # shellcheck disable=SC2086
    tools/coverage.pl prepare ${counted#* }
    export AI_T_COVERAGE=$counted
    set -- "$@" "$passes"/*/*.t
else
    # shellcheck disable=SC2086
    set -- $TESTS
fi

if [ -f t/node/package-lock.json ]; then
    # The lock names no addresses: npm asks the registry it is configured for.
    if ! cmp -s t/node/package-lock.json t/node/node_modules/.lock; then
        echo 'test: npm ci in t/node' >&2
        (cd t/node && npm ci --no-audit --no-fund --loglevel=error)
        cp t/node/package-lock.json t/node/node_modules/.lock
    fi
fi

# Over a gigabyte of programs: without them one test is skipped, and says so.
if [ -f t/node-cli/package-lock.json ] && [ -z "${TESTS:-}" ] \
    && ! cmp -s t/node-cli/package-lock.json t/node-cli/node_modules/.lock
then
    echo 'test: npm ci in t/node-cli' >&2
    if (cd t/node-cli && timeout 300 npm ci --ignore-scripts --no-audit \
            --no-fund --loglevel=error)
    then
        cp t/node-cli/package-lock.json t/node-cli/node_modules/.lock
    else
        rm -rf t/node-cli/node_modules
        echo 'test: SKIPPED: no coding programs, npm failed or took 300 s' >&2
    fi
fi

# What tests may share: the Postgres cluster they copy.
AI_T_CACHE=$(mktemp -d)
export AI_T_CACHE
chmod 755 "$AI_T_CACHE"
trap 'rm -rf "$AI_T_CACHE"' EXIT

prove -j"${JOBS:-2}" -It/lib "$@"
