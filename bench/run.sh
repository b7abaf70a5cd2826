#!/bin/sh
# make bench: the gateway beside a direct call and nginx's proxy_pass, in turn
# in one run, with a mock provider on this machine.  Prints a table and writes
# bench/results.json.
#
#   --quick        a smoke run of less than a minute
#   --no-gateway   only what the gateway would be compared with
#   --keep         leave the folder with logs and raw figures
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
root=$(dirname "$here")
out=$root/build/bench
dir=
mock=
plain=
gateway=
posts=
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C

rounds=3
requests=3000
warmup=200
seconds=3
connections=64
levels='1 100 500'
stream_rounds=2
stream_seconds=6
with_gateway=1
keep=

# One answer at once; 100 chunks, 50 a second.
fast=chunks=1
paced=chunks=100,interval=20


say() {
    echo "bench: $1" >&2
}


die() {
    say "$1"
    exit 1
}


# TERM, then KILL after ten seconds; only for our own children.
end() {
    [ -n "$1" ] || return 0
    kill -TERM "$1" 2>/dev/null || return 0
    n=0
    while kill -0 "$1" 2>/dev/null && [ $n -lt "${2:-100}" ]; do
        sleep 0.1
        n=$((n + 1))
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}


# shellcheck disable=SC2317
finish() {
    code=$?
    trap - EXIT INT TERM HUP
    end "$posts"
    end "$gateway" 600
    end "$plain"
    end "$mock"
    if [ -n "$dir" ]; then
        if [ -n "$keep" ] || [ $code -ne 0 ]; then
            say "logs and raw figures are in $dir"
        else
            rm -rf "$dir"
        fi
    fi
    exit $code
}


free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1,
        LocalAddr => "127.0.0.1")->sockport'
}


fill() {
    sed -e "s|@DIR@|$dir|g" -e "s|@MOCK@|$mock_port|g" -e "s|@FAST@|$fast|g" \
        -e "s|@PACED@|$paced|g" "$@"
}


# await SECONDS PID COMMAND…
await() {
    tries=$(($1 * 10))
    pid=$2
    shift 2
    while ! "$@" > /dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || return 1
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}


# load FILE SECONDS ARGUMENTS…: never longer than that.
load() {
    file=$1
    limit=$2
    shift 2
    timeout "$limit" "$out/load" "$@" > "$dir/$file" \
        || die "load ended with status $?: see $dir/$file"
}


while [ $# -gt 0 ]; do
    case $1 in
        --quick)
            rounds=1
            requests=500
            seconds=1
            levels='1 100'
            stream_rounds=1
            stream_seconds=1
            paced=chunks=50,interval=20 ;;
        --no-gateway) with_gateway= ;;
        --keep) keep=1 ;;
        *) die "usage: bench/run.sh [--quick] [--no-gateway] [--keep]" ;;
    esac
    shift
done

for tool in "${CC:-cc}" nginx perl curl timeout setpriv; do
    command -v "$tool" > /dev/null || die "no $tool: install it"
done

trap finish EXIT
trap 'exit 130' INT TERM HUP

sh "$here/build.sh" "$out" || die "cannot build the mock and the load generator"

dir=$(mktemp -d /tmp/ngx-ai-bench.XXXXXX)
chmod 711 "$dir"
mkdir -p "$dir/plain"
sed 's/^\([0-9.]*\) .*/{"load":\1}/' /proc/loadavg > "$dir/busy.json"


## The mock and the plain nginx

setpriv --pdeathsig TERM -- "$out/mock" -l 127.0.0.1:0 > "$dir/mock.out" 2>&1 &
mock=$!
await 10 $mock grep -q 'mock ready' "$dir/mock.out" \
    || die "the mock did not start: $(cat "$dir/mock.out")"
mock_port=$(sed -n '1s/.*://p' "$dir/mock.out")
direct=http://127.0.0.1:$mock_port

user=
[ "$(id -u)" != 0 ] || user='user root;'
plain_port=$(free_port)
fill -e "s|@PORT@|$plain_port|" -e "s|@USER@|$user|" "$here/plain.conf" \
    > "$dir/plain.conf"
setpriv --pdeathsig TERM -- nginx -p "$dir/" -c "$dir/plain.conf" \
    -e "$dir/plain.log" \
    > "$dir/plain.out" 2>&1 &
plain=$!
proxy=http://127.0.0.1:$plain_port
await 10 $plain curl -sf --max-time 5 "$proxy/return" \
    || die "the plain nginx did not start: $(tail -n 1 "$dir/plain.out")"


## The gateway

procs="--proc mock=$mock --proc plain=$plain"
if [ -n "$with_gateway" ]; then
    [ -x "$root/tools/run.sh" ] || die "no tools/run.sh to start the gateway"
    gateway_port=$(free_port)
    fill "$here/gateway.conf" > "$dir/gateway.conf"
    PORT=$gateway_port RUN_DIR=$dir/run CONF=$dir/gateway.conf \
        "$root/tools/run.sh" > "$dir/gateway.out" 2>&1 &
    gateway=$!
    await 300 $gateway grep -q 'ngx-ai ready' "$dir/gateway.out" \
        || die "the gateway did not start: $(tail -n 1 "$dir/gateway.out")"
    gw=http://127.0.0.1:$gateway_port
    auth="Authorization: Bearer $(cat "$dir/run/demo.key")"
    code=$(curl -s -o "$dir/first.out" -w '%{http_code}' --max-time 30 \
        -H "$auth" -H 'Content-Type: application/json' -d \
        '{"model":"mock/bench","messages":[{"role":"user","content":"hi"}]}' \
        "$gw/v1/chat/completions") || true
    [ "$code" = 200 ] \
        || die "the gateway answers $code: $(head -c 300 "$dir/first.out")"

    procs="--proc mock=$mock"
    read -r children < "/proc/$gateway/task/$gateway/children" || true
    for pid in $children; do
        case $(cat "/proc/$pid/comm") in
            nginx) procs="$procs --proc edge=$pid" ;;
            redis-server) procs="$procs --proc redis=$pid" ;;
            ai-workers*) procs="$procs --proc workers=$pid" ;;
            postgres) procs="$procs --proc postgres=$pid" ;;
        esac
    done
    case $procs in
        *edge=*) ;;
        *) die "cannot find the gateway's processes" ;;
    esac
fi

chat=/v1/chat/completions

# targets SPEED [gateway's model]: in the order of the table.
fast_targets="--target direct=$direct/with/$fast$chat
    --target proxy_pass=$proxy/with/$fast$chat"
paced_targets="--target direct=$direct/with/$paced$chat
    --target proxy_pass=$proxy/with/$paced$chat"

# run FILE LIMIT KIND MODE…: all targets of a kind, the gateway last.
measure() {
    name=$1
    limit=$2
    kind=$3
    shift 3
    # Only words that run.sh made are split here.
    # shellcheck disable=SC2086
    case $kind in
        fast) set -- "$@" $procs --unique $fast_targets ;;
        full) set -- "$@" $procs --unique $fast_targets \
            --target "return=$proxy/return" --get \
            --target "return_post=$proxy/return" \
            --target "return_read=$proxy/read" ;;
        paced) set -- "$@" $procs --unique $paced_targets ;;
    esac
    if [ -n "$with_gateway" ]; then
        model=mock/bench
        [ "$kind" != paced ] || model=paced/bench
        set -- "$@" --target "gateway=$gw$chat" --header "$auth" \
            --model $model
    fi
    load "$name" "$limit" "$@"
}


## Measure

say 'idle'
# shellcheck disable=SC2086
load idle.json 20 sample $procs

say "latency: $rounds rounds of $requests requests, one at a time"
measure latency.json 120 fast latency --rounds $rounds \
    --requests $requests --warmup $warmup --seconds 30

say "first token: the same, streaming"
measure first.json 120 fast latency --stream --rounds $rounds \
    --requests $requests --warmup $warmup --seconds 30

redis_stats() {
    [ -n "$with_gateway" ] || return 0
    redis-cli -s "$dir/run/redis.sock" info commandstats > "$dir/redis.$1" \
        || die 'cannot ask Redis for its statistics'
}

redis_stats before
say "throughput: $rounds rounds of $seconds s, $connections connections"
measure throughput.json 300 full throughput --rounds $rounds \
    --seconds $seconds --connections $connections
redis_stats after

count=$(echo "$paced" | sed 's/chunks=\([0-9]*\).*/\1/')
for level in $levels; do
    say "streams: $level at 50 chunks/s, $stream_rounds rounds"
    measure "streams-$level.json" 300 paced streams --rounds $stream_rounds \
        --seconds $stream_seconds --ramp 1 --connections "$level" \
        --expect-chunks "$count"
done

# Bodies of 5 MB, ten a second, beside 50 streams: whoever reads them must not
# hold up the others.  beside NAME POST_URL STREAM_URL [HEADER MODEL MODEL]
beside() {
    timeout 60 "$out/load" latency --requests 100000 --pause 0.1 \
        --seconds $((stream_seconds + 2)) --body-bytes 5000000 \
        --header "${4:-X-None: 1}" --model "${5:-bench}" \
        --target "$1=$2" > "$dir/large-$1.json" &
    posts=$!
    load "beside-$1.json" 120 streams --seconds "$stream_seconds" --ramp 1 \
        --connections 50 --expect-chunks "$count" --unique \
        --header "${4:-X-None: 1}" --model "${6:-bench}" --target "$1=$3"
    wait $posts || die "posting large bodies failed: see $dir"
    posts=
}

say 'streams beside bodies of 5 MB'
beside direct "$direct/with/$fast$chat" "$direct/with/$paced$chat"
beside proxy_pass "$proxy/with/$fast$chat" "$proxy/with/$paced$chat"
if [ -n "$with_gateway" ]; then
    beside gateway "$gw$chat" "$gw$chat" "$auth" mock/bench paced/bench
fi


## Report

perl "$here/report.pl" "$dir" "$here/results.json"
