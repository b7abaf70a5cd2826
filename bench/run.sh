#!/bin/bash
# make bench: the gateway beside a direct call and nginx's proxy_pass, in turn
# in one run, with a mock provider on this machine.  Prints a table and writes
# bench/results.json.
#
#   --quick        a smoke run of about a minute
#   --only PARTS   of latency,throughput,policy,translate,failover,streams,
#                  large,prompt,tenants,ledger,memory, separated by commas
#   --no-gateway   only what the gateway would be compared with
#   --rivals       other gateways too (latency, throughput, 100 streams)
#   --keep         leave the folder with logs and raw figures
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
root=$(dirname "$here")
out=$root/build/bench
dir=
policy=
mock=
plain=
posts=
gateways=()
rival_pids=()
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C

all=latency,throughput,policy,translate,failover,streams,large,prompt,tenants,ledger,memory
only=
rounds=3
requests=3000
warmup=200
seconds=3
connections=64
levels='1 100 500 1000'
stream_rounds=2
stream_seconds=5
grow_seconds=1.5
translate_rounds=9
failover_rounds=20
prompts='1024 10240 102400 1048576'
tenants=10000
rows=5000000
held=10000
ramp=8
sample=12
with_gateway=1
with_rivals=
keep=

# One answer at once; 100 chunks, 50 a second; few chunks that keep a stream
# open for 16 s.
fast=chunks=1
paced=chunks=100,interval=20
slow=chunks=8,interval=2000
chat=/v1/chat/completions


say() {
    echo "bench: $1" >&2
}


die() {
    say "$1"
    exit 1
}


# TERM, then KILL after ten seconds; only for our own children.
end() {
    local n=0
    [ -n "$1" ] || return 0
    kill -TERM "$1" 2>/dev/null || return 0
    while kill -0 "$1" 2>/dev/null && [ $n -lt "${2:-100}" ]; do
        sleep 0.1
        n=$((n + 1))
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}


end_gateways() {
    local pid
    for pid in ${gateways[@]+"${gateways[@]}"}; do
        end "$pid" 600
    done
    gateways=()
}


# shellcheck disable=SC2317
finish() {
    local code=$? pid
    trap - EXIT INT TERM HUP
    end "$posts"
    for pid in ${rival_pids[@]+"${rival_pids[@]}"}; do
        end "$pid"
    done
    end_gateways
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
        -e "s|@PACED@|$paced|g" -e "s|@SLOW@|$slow|g" \
        -e "s|@FILES@|$files|g" -e "s|@POLICY@|$policy|g" "$@"
}


# await SECONDS PID COMMAND…
await() {
    local tries=$(($1 * 10)) pid=$2
    shift 2
    while ! "$@" > /dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || return 1
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}


wants() {
    case ,$only, in
        *",$1,"*) return 0 ;;
    esac
    return 1
}


# load FILE SECONDS ARGUMENTS…: never longer than that.
load() {
    local file=$1 limit=$2
    shift 2
    timeout "$limit" "$out/load" "$@" > "$dir/$file" \
        || die "load ended with status $?: see $dir/$file"
}


# add NAME URL ARGUMENTS…: one more target of the next measurement.
add() {
    targets+=(--target "$1=$2" "${@:3}")
}


# plain_targets OPTIONS [SUFFIX ARGUMENTS…]
plain_targets() {
    add "direct${2:-}" "$direct/with/$1$chat" "${@:3}"
    add "proxy_pass${2:-}" "$proxy/with/$1$chat" "${@:3}"
}


# gateway_target NAME MODEL ARGUMENTS…
gateway_target() {
    [ -z "$with_gateway" ] \
        || add "$1" "$gw$chat" --header "$auth" --model "$2" "${@:3}"
}


# measure FILE LIMIT MODE…: the targets that were added, which are then gone.
measure() {
    load "$1" "$2" "${@:3}" "${procs[@]}" --unique "${targets[@]}"
    targets=()
}


# policy_has NAME: puts what bench/policy has of it into the next gateway's folder,
# where nginx takes it; the gateway that runs has the other files it wants.
policy_has() {
    local f
    for f in "$here/policy/$1".*; do
        fill "$f" > "$policy/${f##*/}"
    done
    fill -e "s|@PORT@|$(free_port)|g" -e "s|@LISTEN@||" -e 's|@USER@||' \
        -e "s|@RUN_DIR@|$run|g" -e "s|@ROOT@|$root|g" \
        -e 's|@REDIS@|unix:/none|' -e 's|@BENCH_CONNECTIONS@|64|' \
        "$here/gateway.conf" > "$dir/probe.conf"
    nginx -t -p "$dir/" -c "$dir/probe.conf" -e "$dir/probe.log" \
        > "$dir/probe.out" 2>&1 && return
    say "policy: no $1: $(grep -m 1 -o '\[emerg\].*' "$dir/probe.out")"
    rm -f "$policy/$1".*
    return 1
}


# policy_ask PATH STATUS HEADER MODEL: it answers so, or the figures mean nothing.
policy_ask() {
    local code
    code=$(curl -s -D "$dir/asked.head" -o "$dir/asked.out" --max-time 30 \
        -w '%{http_code}' -H "$3" -H 'Content-Type: application/json' -d \
        "{\"model\":\"$4\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}" \
        "$gw/$1$chat") || true
    [ "$code" = "$2" ] \
        || die "policy: /$1 answers $code: $(head -c 300 "$dir/asked.out")"
}


# policy_says HEADER VALUE: of the answer to policy_ask.
policy_says() {
    grep -iq "^$1: *$2" "$dir/asked.head" \
        || die "policy: no \"$1: $2\": $(cat "$dir/asked.head")"
}


# The first answer after the start of a Redis may not be kept.
policy_warm() {
    for _ in 1 2 3; do
        policy_ask hit 200 "$auth" mock/bench
    done
    policy_says x-ai-cache HIT
}


# Models whose first provider refuses the connection, or answers 503.  One that
# failed ten times is not asked for a while, so each is asked eight times.
failover_models() {
    local i closed
    closed=$(free_port)
    echo "ai_provider fails { api openai;"
    echo "    url http://127.0.0.1:$mock_port/with/status=503/v1; }"
    for i in $(seq "$failover_rounds"); do
        echo "ai_provider gone$i { api openai;"
        echo "    url http://127.0.0.1:$closed/v1; }"
        echo "ai_model gone$i { retry 0; route gone$i model=bench;"
        echo "    fallback mock/bench; }"
        echo "ai_model fails$i { retry 0; route fails model=bench$i;"
        echo "    fallback mock/bench; }"
    done
}


# Keys for the gateway, and tokens of one signature and of many: 10,000 that
# differ, since a token is remembered once it was verified.
policy_tokens() {
    openssl genrsa -out "$dir/jwt.pem" 2048 2> "$dir/jwt.log" \
        || die "no RSA key: $(tail -n 1 "$dir/jwt.log")"
    perl "$here/tokens.pl" "$dir" 10000 || die 'cannot make tokens'
}


while [ $# -gt 0 ]; do
    case $1 in
        --quick)
            rounds=1
            requests=300
            warmup=50
            seconds=1
            levels='1 100'
            stream_rounds=1
            stream_seconds=1
            grow_seconds=0.4
            translate_rounds=3
            failover_rounds=3
            prompts='1024 1048576'
            tenants=200
            rows=50000
            held=500
            ramp=0.5
            sample=1
            slow=chunks=2,interval=1500
            paced=chunks=50,interval=20 ;;
        --only)
            only=${2:?bench/run.sh --only wants a list of parts}
            shift ;;
        --no-gateway) with_gateway= ;;
        --rivals) with_rivals=1 ;;
        --keep) keep=1 ;;
        *) die "usage: bench/run.sh [--quick] [--only PARTS] [--no-gateway] [--rivals] [--keep]" ;;
    esac
    shift
done

if [ -n "$with_rivals" ]; then
    levels=100
    only=${only:-latency,throughput,streams}
fi
only=${only:-$all}
for part in ${only//,/ }; do
    case ,$all, in
        *",$part,"*) ;;
        *) die "no part \"$part\": use some of $all" ;;
    esac
done

for tool in "${CC:-cc}" nginx perl curl timeout setpriv; do
    command -v "$tool" > /dev/null || die "no $tool: install it"
done

ulimit -n "$(ulimit -Hn)"
files=$(ulimit -n)
case $files in
    unlimited) files=65536 ;;
esac
# proxy_pass keeps two a stream, and all may be one process's.
if [ $((held * 2 + 1000)) -gt "$files" ] && [ "$held" -gt $((files / 2)) ]; then
    say "at most $files files a process: $((files / 2)) streams for $held"
    held=$((files / 2))
fi

trap finish EXIT
trap 'exit 130' INT TERM HUP

sh "$here/build.sh" "$out" || die "cannot build the mock and the load generator"

dir=$(mktemp -d /tmp/ngx-ai-bench.XXXXXX)
chmod 711 "$dir"
policy=$dir/none
mkdir -p "$dir/plain" "$policy"
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

# start_plain CONNECTIONS [reuseport]
start_plain() {
    local port
    end "$plain"
    port=$(free_port)
    fill -e "s|@PORT@|$port|" -e "s|@USER@|$user|" \
        -e "s|@CONNECTIONS@|$1|" -e "s|@LISTEN@|${2:-}|" \
        "$here/plain.conf" > "$dir/plain.conf"
    setpriv --pdeathsig TERM -- nginx -p "$dir/" -c "$dir/plain.conf" \
        -e "$dir/plain.log" > "$dir/plain.out" 2>&1 &
    plain=$!
    proxy=http://127.0.0.1:$port
    await 10 $plain curl -sf --max-time 5 "$proxy/return" \
        || die "the plain nginx did not start: $(tail -n 1 "$dir/plain.out")"
}


## The gateway

# start_gateway NAME CONNECTIONS SLOTS [SUFFIX [reuseport]]: sets gw, auth and
# run, and adds its processes to procs, with a suffix.
start_gateway() {
    local port pid child children code
    run=$dir/$1
    port=$(free_port)
    fill -e "s|@BENCH_CONNECTIONS@|$2|" -e "s|@LISTEN@|${5:-}|" \
        "$here/gateway.conf" > "$dir/$1.conf"
    PORT=$port RUN_DIR=$run CONF=$dir/$1.conf SLOTS=$3 \
        "$root/tools/run.sh" > "$dir/$1.out" 2>&1 &
    pid=$!
    gateways+=("$pid")
    await 300 "$pid" grep -q 'ngx-ai ready' "$dir/$1.out" \
        || die "the gateway did not start: $(tail -n 1 "$dir/$1.out")"
    gw=http://127.0.0.1:$port
    auth="Authorization: Bearer $(cat "$run/demo.key")"
    code=$(curl -s -o "$dir/first.out" -w '%{http_code}' --max-time 30 \
        -H "$auth" -H 'Content-Type: application/json' -d \
        '{"model":"mock/bench","messages":[{"role":"user","content":"hi"}]}' \
        "$gw$chat") || true
    [ "$code" = 200 ] \
        || die "the gateway answers $code: $(head -c 300 "$dir/first.out")"

    read -r children < "/proc/$pid/task/$pid/children" || true
    for child in $children; do
        case $(cat "/proc/$child/comm") in
            nginx) procs+=(--proc "edge${4:-}=$child") ;;
            redis-server) procs+=(--proc "redis${4:-}=$child") ;;
            ai-workers*) procs+=(--proc "workers${4:-}=$child") ;;
            postgres) procs+=(--proc "postgres${4:-}=$child") ;;
        esac
    done
    case ${procs[*]} in
        *"edge${4:-}="*) ;;
        *) die "cannot find the gateway's processes" ;;
    esac
}

# In the gateway's database, as its superuser.
sql() {
    local pghome=$run/postgres
    [ -d "$pghome/data" ] \
        || pghome=/var/lib/ngx-ai-run/$(echo "$run" | sha256sum | cut -c1-12)
    psql -XAtq -v ON_ERROR_STOP=1 "host=$pghome user=postgres dbname=ngxai" \
        "$@" 2>> "$dir/sql.log" || die "SQL failed: $(tail -n 1 "$dir/sql.log")"
}

redis() {
    redis-cli -s "$run/redis.sock" "$@" || die 'cannot ask Redis'
}

targets=()
start_plain 4096
procs=(--proc "mock=$mock" --proc "plain=$plain")
if [ -n "$with_gateway" ]; then
    [ -x "$root/tools/run.sh" ] || die "no tools/run.sh to start the gateway"
    start_gateway run 4096 1024
fi
base=("$run" "$gw" "$auth")

if [ -n "$with_rivals" ]; then
    # shellcheck source=bench/rivals.sh
    . "$here/rivals.sh"
    rivals_start
    procs+=(${rival_procs[@]+"${rival_procs[@]}"})
else
    rival_targets() { :; }
fi


## Measure

say 'idle'
load idle.json 20 sample "${procs[@]}"

if wants latency; then
    say "latency: $rounds rounds of $requests requests, one at a time"
    plain_targets $fast
    gateway_target gateway mock/bench
    rival_targets $fast mock
    measure latency.json 120 latency --rounds $rounds --requests $requests \
        --warmup $warmup --seconds 30

    say "first token: the same, streaming"
    plain_targets $fast
    gateway_target gateway mock/bench
    rival_targets $fast mock
    measure first.json 120 latency --stream --rounds $rounds \
        --requests $requests --warmup $warmup --seconds 30
fi

if wants throughput; then
    [ -z "$with_gateway" ] || redis info commandstats > "$dir/redis.before"
    say "throughput: $rounds rounds of $seconds s, $connections connections"
    plain_targets $fast
    add return "$proxy/return" --get
    add return_post "$proxy/return"
    add return_read "$proxy/read"
    gateway_target gateway mock/bench
    rival_targets $fast mock
    measure throughput.json 300 throughput --rounds $rounds \
        --seconds $seconds --connections $connections
    [ -z "$with_gateway" ] || redis info commandstats > "$dir/redis.after"
fi

# Each of these beside the gateway without it, in turn.  Answers that come from
# Redis need a gateway without a zone for them.
if wants policy && [ -n "$with_gateway" ]; then
    say "policy: $rounds rounds of $seconds s, $connections connections"
    policy=$dir/policy.d
    mkdir -p "$policy"
    has=
    policy_tokens
    for name in limits refused hit joined jwt; do
        ! policy_has $name || has="$has $name "
    done
    if [ -n "$has" ]; then
        start_gateway policy 4096 1024 _policy
        same=(--header "$auth" --model mock/bench)

        plain_targets $fast '' --unique
        add return_post "$proxy/return" --unique
        add return_read "$proxy/read" --unique
        add gateway "$gw$chat" "${same[@]}" --unique
        case $has in *' limits '*)
            policy_ask limits 200 "$auth" mock/bench
            policy_says x-ratelimit-limit-requests 100000000
            add limits "$gw/limits$chat" "${same[@]}" --unique ;;
        esac
        case $has in *' refused '*)
            policy_ask refused 200 "$auth" mock/bench
            policy_ask refused 429 "$auth" mock/bench
            add refused "$gw/refused$chat" "${same[@]}" --unique \
                --expect-status 429 ;;
        esac
        case $has in *' jwt '*)
            token="Authorization: Bearer $(cat "$dir/jwt.one")"
            policy_ask jwt 200 "$token" mock/bench
            add jwt "$gw/jwt$chat" --header "$token" --model mock/bench \
                --unique
            add jwt_each "$gw/jwt$chat" --keys "$dir/jwt.each" \
                --model mock/bench --unique ;;
        esac
        case $has in *' joined '*)
            policy_ask joined 200 "$auth" late/bench
            add alone "$gw/alone$chat" --header "$auth" --model late/bench \
                --unique
            add joined "$gw/joined$chat" --header "$auth" --model late/bench ;;
        esac
        case $has in *' hit '*)
            policy_warm
            add hit "$gw/hit$chat" "${same[@]}"
            policy=$dir/kept.d
            mkdir -p "$policy"
            cp "$dir/policy.d/hit.server" "$policy"
            start_gateway kept 4096 1024 _kept
            policy_warm
            add hit_redis "$gw/hit$chat" --header "$auth" --model mock/bench ;;
        esac
        load policy.json 600 throughput --rounds $rounds --seconds $seconds \
            --connections $connections "${procs[@]}" "${targets[@]}"
        targets=()
    fi
    policy=$dir/none
    run=${base[0]} gw=${base[1]} auth=${base[2]}
fi

count=${paced#chunks=}
count=${count%%,*}
if wants translate && [ -n "$with_gateway" ]; then
    say "translate: $translate_rounds rounds, beside calls that pass"
    timeout 120 "$root/build/bench-translate" $translate_rounds \
        > "$dir/translate.json" || die 'the translation cannot be measured'
fi

# A failover beside a call that works, and beside the provider's own answer over
# a connection of its own and a kept one.
if wants failover && [ -n "$with_gateway" ]; then
    say "failover: $failover_rounds rounds of 8 requests, one at a time"
    policy=$dir/failover.d
    mkdir -p "$policy"
    failover_models > "$policy/failover.http"
    start_gateway failover 4096 1024 _failover
    for i in $(seq "$failover_rounds"); do
        add direct "$direct/with/$fast$chat"
        add connection "$direct/with/$fast$chat" --no-keepalive
        gateway_target gateway mock/bench
        gateway_target refused "gone$i"
        gateway_target failed "fails$i"
        measure "failover-$i.json" 60 latency --rounds 1 --requests 7 \
            --warmup 1 --seconds 30
    done
    policy=$dir/none
    run=${base[0]} gw=${base[1]} auth=${base[2]}
fi

if wants streams; then
    for level in $levels; do
        say "streams: $level at 50 chunks/s, $stream_rounds rounds"
        plain_targets $paced
        gateway_target gateway paced/bench
        rival_targets $paced paced
        measure "streams-$level.json" 400 streams --rounds $stream_rounds \
            --seconds $stream_seconds --ramp 1 --connections "$level" \
            --expect-chunks "$count"
    done
fi

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

if wants large; then
    say 'streams beside bodies of 5 MB'
    beside direct "$direct/with/$fast$chat" "$direct/with/$paced$chat"
    beside proxy_pass "$proxy/with/$fast$chat" "$proxy/with/$paced$chat"
    if [ -n "$with_gateway" ]; then
        beside gateway "$gw$chat" "$gw$chat" "$auth" mock/bench paced/bench
    fi
fi


## How it grows

# grow PART REQUESTS CONNECTIONS: latency and throughput of the same targets.
grow() {
    local -a same=("${targets[@]}")
    measure "$1-latency.json" 120 latency --rounds $rounds --requests "$2" \
        --warmup 20 --seconds 20
    targets=("${same[@]}")
    measure "$1-throughput.json" 300 throughput --rounds $rounds \
        --seconds $grow_seconds --connections "$3"
}

if wants prompt; then
    say "prompts of ${prompts// /, } bytes"
    for bytes in $prompts; do
        plain_targets $fast "_$bytes" --body-bytes "$bytes"
        gateway_target "gateway_$bytes" mock/bench --body-bytes "$bytes"
    done
    grow prompt $((requests / 15)) 16
fi

if wants tenants && [ -n "$with_gateway" ]; then
    say "$tenants tenants"
    sql -v n="$tenants" > "$dir/tenants.keys" << 'SQL'
INSERT INTO ngxai.tenants (id) SELECT 'bench-' || i
  FROM generate_series(1, :n) i;
CREATE TEMP TABLE made AS SELECT i, 'ngx-' || translate(rtrim(replace(
    encode(sha256(convert_to(i || gen_random_uuid()::text, 'UTF8')), 'base64'),
    E'\n', ''), '='), '+/', '-_') AS key
  FROM generate_series(1, :n) i;
INSERT INTO ngxai.api_keys (id, hash, prefix, tenant, version)
SELECT 'key_' || lpad(to_hex(i), 16, '0'),
       sha256(convert_to(key, 'UTF8')), left(key, 8), 'bench-' || i, 0
  FROM made;
ANALYZE ngxai.tenants, ngxai.api_keys;
SELECT key FROM made ORDER BY i;
SQL
    known() {
        redis --scan --pattern 'ai1:key:*' | wc -l
    }
    # Until Redis and both edges know them: a key has to reach each of these.
    tries=0
    add "first_use" "$gw$chat" --model mock/bench --keys "$dir/tenants.keys"
    measure tenants-first.json 120 throughput --seconds $grow_seconds \
        --connections 16
    while [ "$(known)" -lt "$tenants" ] && [ $tries -lt 20 ]; do
        add warm "$gw$chat" --model mock/bench --keys "$dir/tenants.keys"
        measure warm.json 120 throughput --seconds 2 --connections 64
        tries=$((tries + 1))
    done
    [ "$(known)" -ge "$tenants" ] || die "Redis does not know all tenants"
    for name in a b; do
        add $name "$gw$chat" --model mock/bench --keys "$dir/tenants.keys"
    done
    measure warm.json 120 throughput --seconds $grow_seconds --connections 64

    plain_targets $fast
    gateway_target gateway_1 mock/bench
    add "gateway_$tenants" "$gw$chat" --model mock/bench \
        --keys "$dir/tenants.keys"
    grow tenants $((requests / 3)) $connections
    plain_targets $paced
    gateway_target gateway_1 paced/bench
    add "gateway_$tenants" "$gw$chat" --model paced/bench \
        --keys "$dir/tenants.keys"
    measure tenants-streams.json 300 streams --rounds $stream_rounds \
        --seconds 2 --ramp 1 --connections 100 --expect-chunks "$count"
fi

# A second gateway, so that an empty ledger and a full one take turns.  The
# rows lie in this month's partition, where new ones go, too.
if wants ledger && [ -n "$with_gateway" ]; then
    say "$rows rows in the ledger"
    sql -c 'TRUNCATE ngxai.ledger' > "$dir/sql.out"
    start_gateway full 4096 1024 _full
    sql -c 'CREATE TABLE ngxai.bench (LIKE ngxai.ledger INCLUDING DEFAULTS
            INCLUDING CONSTRAINTS)' > "$dir/sql.out"
    for half in 0 1; do
        sql -v n="$rows" -v half="$half" -f "$here/ledger.sql" \
            > "$dir/sql.$half" &
        halves[half]=$!
    done
    for half in 0 1; do
        wait "${halves[half]}" || die "filling the ledger failed"
    done
    sql -f "$here/ledger-attach.sql" > "$dir/sql.out"
    full=("$gw" "$auth")
    printf '{"rows":%s}\n' "$(sql -c 'SELECT count(*) FROM ngxai.ledger')" \
        > "$dir/rows.json"

    run=${base[0]} gw=${base[1]} auth=${base[2]}
    plain_targets $fast
    gateway_target gateway_0 mock/bench
    add "gateway_$rows" "${full[0]}$chat" --header "${full[1]}" \
        --model mock/bench
    grow ledger $((requests / 3)) $connections
fi


## Many streams

# Fresh processes, so that what earlier load left in them hides nothing.
if wants memory; then
    say "memory of $held open streams"
    end_gateways
    procs=(--proc "mock=$mock")
    start_plain $((files < 20480 ? files : 20480)) reuseport
    procs+=(--proc "plain=$plain")
    [ -z "$with_gateway" ] || start_gateway many 16384 16384 '' reuseport

    plain_targets $fast
    gateway_target gateway mock/bench
    measure warm.json 60 throughput --seconds 0.3 --connections 64
    load held-idle.json 20 sample "${procs[@]}"

    plain_targets $slow
    gateway_target gateway slow/bench
    count=${slow#chunks=}
    measure held.json 400 streams --seconds "$(perl -e "print $sample + 1")" \
        --ramp "$ramp" --sample "$sample" --connections "$held" --timeout 60 \
        --expect-chunks "${count%%,*}"
fi


## Report

perl "$here/report.pl" "$dir" "$here/results.json"
