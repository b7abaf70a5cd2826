#!/bin/bash
# make run: a private Redis and Postgres, the workers and nginx, in RUN_DIR, in
# the foreground.  Whatever happens, what was started here ends with it.
#
#   PORT     where nginx listens (8080)
#   RUN_DIR  data, sockets, logs, the demo key (./run)
#   WORKERS  worker processes (as many as there are processors)
#   SLOTS    jobs that each of them takes at a time (1024)
#   CONF     an nginx.conf instead of the generated one; @PORT@, @RUN_DIR@,
#            @REDIS@ … of conf/run.conf may be used in it
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
port=${PORT:-8080}
workers=${WORKERS:-$(nproc)}
slots=${SLOTS:-1024}
conf=${CONF:-}
export LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin

names=()
pids=()
short=


say() {
    echo "run: $1" >&2
}


die() {
    say "$1"
    exit 1
}


# One line from a log: the first match, else the last line.
why() {
    local line
    line=$(grep -m 1 -E "$2" "$1" 2>/dev/null) \
        || line=$(tail -n 1 "$1" 2>/dev/null) || line=
    echo "${line:-see $1}"
}


# Waits up to so many seconds for a command to succeed; a part that died ends
# the wait.
await() {
    local seconds=$1 part=$2 end
    shift 2
    end=$((SECONDS + seconds))
    until "$@" > /dev/null 2>&1; do
        alive "$part" || return 1
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}


alive() {
    local i
    for i in "${!names[@]}"; do
        if [ "${names[i]}" = "$1" ]; then
            kill -0 "${pids[i]}" 2>/dev/null
            return
        fi
    done
    return 1
}


gone() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    case ${stat##*) } in
        Z*) return 0 ;;
    esac
    return 1
}


# Ends a process: signal, then KILL after so many seconds.
end() {
    local pid=$1 signal=$2 seconds=$3 until
    kill "-$signal" "$pid" 2>/dev/null || return 0
    until=$((SECONDS + seconds))
    until gone "$pid"; do
        if [ $SECONDS -ge $until ]; then
            kill -KILL "$pid" 2>/dev/null || true
            sleep 0.2
            return 0
        fi
        sleep 0.05
    done
}


# start NAME LOG COMMAND…: in a session of its own, so that Ctrl-C reaches only
# us, and gone when we are.
start() {
    local name=$1 log=$2
    shift 2
    setsid setpriv "${as[@]}" --pdeathsig TERM -- "$@" \
        < /dev/null >> "$log" 2>&1 9>&- &
    names+=("$name")
    pids+=($!)
}


# Our programs that work in one of our folders: a run before this one that was
# killed left them.
orphans() {
    local proc pid name cwd line
    for proc in /proc/[0-9]*; do
        pid=${proc#/proc/}
        [ "$pid" != $$ ] || continue
        { name=$(< "$proc/comm"); } 2>/dev/null || continue
        case $name in
            nginx|redis-server|postgres|ai-workers*) ;;
            *) continue ;;
        esac
        cwd=$(readlink "$proc/cwd" 2>/dev/null) || cwd=
        line=$(tr '\0' ' ' 2>/dev/null < "$proc/cmdline") || line=
        case $cwd/ in
            "$run"/*|"$pghome"/*) echo "$pid $name"; continue ;;
        esac
        case "$line " in
            *"$run/"*|*"$pghome/"*) echo "$pid $name" ;;
        esac
    done
}


end_orphans() {
    local pid name
    while read -r pid name; do
        [ -n "$pid" ] || continue
        [ -z "$1" ] || say "ending $name (pid $pid) of an earlier run"
        case $name in
            postgres) end "$pid" INT 10 ;;
            *) end "$pid" TERM 10 ;;
        esac
    done <<< "$(orphans)"
}


# [scheme://][host][:port][/path], as Ollama takes its own OLLAMA_HOST; its
# OpenAI interface is below /v1.
ollama_url() {
    local host=${1//[[:space:]\"\']/} scheme=http port=11434 path
    case $host in
        http://*) port=80 ;;
        https://*) scheme=https port=443 ;;
    esac
    host=${host#*://}
    path=${host#"${host%%/*}"}
    host=${host%%/*}
    if [[ $host =~ ^(\[.*\]|[^:]*):([0-9]+)$ ]]; then
        host=${BASH_REMATCH[1]}
        port=${BASH_REMATCH[2]}
    elif [[ $host == *:*:* && $host != \[* ]]; then
        host=[$host]
    fi
    case $host in
        ''|0.0.0.0) host=127.0.0.1 ;;
        '[::]') host='[::1]' ;;
    esac
    path=${path%/}
    echo "$scheme://$host:$port${path%/v1}/v1"
}


# shellcheck disable=SC2317
stop_all() {
    local i name
    trap '' INT TERM HUP PIPE
    set +e
    # What asks first, what is asked last.
    for name in nginx workers postgres redis; do
        for i in "${!names[@]}"; do
            [ "${names[i]}" = "$name" ] || continue
            case $name in
                postgres) end "${pids[i]}" INT 20 ;;
                *) end "${pids[i]}" TERM 20 ;;
            esac
        done
    done
    end_orphans ''
    rm -f "$run"/*.pid "$run/redis.sock"
    [ -z "$short" ] || rm -rf "$short" "$run/sockets"
}


case $port in
    ''|*[!0-9]*) die "PORT=$port is not a port: use a number from 1 to 65535" ;;
esac
if [ "${#port}" -gt 5 ] || [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; then
    die "PORT=$port is not a port: use a number from 1 to 65535"
fi
case $workers in
    ''|*[!0-9]*|0) die "WORKERS=$workers is not a number of processes" ;;
esac
if [ -n "$conf" ]; then
    [ -r "$conf" ] || die "CONF=$conf cannot be read"
    conf=$(realpath "$conf")
fi

umask 022
run=${RUN_DIR:-$root/run}
if [ ! -d "$run" ]; then
    mkdir -p "$run" 2>/dev/null \
        || die "cannot make $run: set RUN_DIR to a folder you can write to"
    if [ "$(id -u)" = 0 ]; then chmod 711 "$run"; else chmod 700 "$run"; fi
fi
run=$(cd "$run" && pwd -P)
[ -w "$run" ] \
    || die "cannot write to $run: set RUN_DIR to a folder you can write to"
# What is in it is ours to end and to remove.
if [ ! -f "$run/lock" ]; then
    others=$(find "$run" -mindepth 1 -maxdepth 1 ! -name lost+found | head -n 1)
    [ -z "$others" ] \
        || die "$run is not empty and not of make run: set RUN_DIR to a folder of its own"
fi
case $run in
    *[\"\'\\\;\{\}\$,\|\&]*|*$'\n'*)
        die "$run: RUN_DIR works without quotes, commas and other special signs only" ;;
esac

exec 9> "$run/lock"
flock -n 9 \
    || die "another make run uses $run: stop it (pid $(cat "$run/run.pid" 2>/dev/null)) or set RUN_DIR"

pghome=$run/postgres
trap stop_all EXIT
trap 'exit 0' INT TERM HUP

"$root/tools/packages.sh" run 9>&-

# Postgres refuses root, and its own user may not be able to come here.
as=()
pg_as=()
if [ "$(id -u)" = 0 ]; then
    pg_as=(--reuid=postgres --regid=postgres --clear-groups)
    if ! setpriv "${pg_as[@]}" test -x "$run"; then
        pghome=/var/lib/ngx-ai-run/$(echo "$run" | sha256sum | cut -c1-12)
        say "the user postgres cannot enter $run; Postgres lives in $pghome"
        mkdir -p "$pghome"
    fi
fi
mkdir -p "$pghome" "$run/redis" "$run/logs" "$run/tmp" "$run/secrets"
chmod 700 "$pghome" "$run/redis" "$run/secrets"
[ "$(id -u)" != 0 ] || chown postgres:postgres "$pghome"

end_orphans yes
echo $$ > "$run/run.pid"
rm -f "$run/redis.sock" "$run/workers.pid" "$run/nginx.pid"

# A socket's path has 107 bytes.
redis_sock=$run/redis.sock
pg_sock=$pghome
if [ -L "$run/sockets" ]; then
    stale=$(readlink "$run/sockets")
    case $stale in
        /tmp/ngx-ai.*) rm -rf "$stale" ;;
    esac
    rm -f "$run/sockets"
fi
if [ ${#redis_sock} -gt 100 ] || [ ${#pg_sock} -gt 85 ]; then
    short=$(mktemp -d /tmp/ngx-ai.XXXXXX)
    chmod 711 "$short"
    ln -s "$short" "$run/sockets"
    redis_sock=$short/redis.sock
    pg_sock=$short/pg
    mkdir -m 700 "$pg_sock"
    [ "$(id -u)" != 0 ] || chown postgres:postgres "$pg_sock"
fi

if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    die "port $port is in use: stop what listens there, or choose another with PORT=$((port < 65535 ? port + 1 : 8080)) make run"
fi

# Files: what the machine allows, up to what is useful.
hard=$(ulimit -Hn)
case $hard in
    unlimited) hard=65536 ;;
esac
[ "$hard" -le 65536 ] || hard=65536
ulimit -n "$hard"
connections=$((hard / 2 < 16384 ? hard / 2 : 16384))

say 'building'
make -s -C "$root" -j "$(nproc)" module workers aictl \
    > "$run/logs/build.log" 2>&1 9>&- \
    || die "the build failed: $(why "$run/logs/build.log" '^module: |error|\*\*\*') (see $run/logs/build.log)"
for name in ngx_http_ai_module.so ai-workers aictl; do
    [ -f "$root/build/$name" ] || die "the build left no build/$name"
done


## Redis

cd "$run"
start redis "$run/logs/redis.log" redis-server --port 0 \
    --unixsocket "$redis_sock" --unixsocketperm 700 --dir "$run/redis" \
    --daemonize no --save '' --appendonly yes --appendfsync everysec \
    --auto-aof-rewrite-min-size 512mb \
    --maxmemory-policy noeviction --tcp-backlog 128 \
    --stream-node-max-entries 16
redis_up() {
    [ "$(redis-cli -s "$redis_sock" PING)" = PONG ]
}
await 60 redis redis_up \
    || die "Redis did not start: $(why "$run/logs/redis.log" 'Fatal|FATAL|Bad file format') (see $run/logs/redis.log)"


## Postgres

data=$pghome/data
if [ -f "$data/PG_VERSION" ]; then
    version=$(cat "$data/PG_VERSION")
    bin=/usr/lib/postgresql/$version/bin
    [ -x "$bin/postgres" ] \
        || die "$data belongs to PostgreSQL $version: install postgresql-$version, or remove that folder to begin anew"
else
    bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    [ -x "$bin/initdb" ] || die 'no initdb: install the package postgresql'
    rm -rf "$data" "$data.new"
    setpriv "${pg_as[@]}" "$bin/initdb" -D "$data.new" -U postgres -A trust \
        -E UTF8 --locale=C.UTF-8 > "$run/logs/initdb.log" 2>&1 < /dev/null 9>&- \
        || die "initdb failed: $(why "$run/logs/initdb.log" 'error|fatal') (see $run/logs/initdb.log)"
    mv "$data.new" "$data"
    rm -f "$run/demo.key"
fi

# The orphans are gone, so what is locked is locked by nobody.
rm -f "$data/postmaster.pid" "$pg_sock"/.s.PGSQL.*
cd "$pghome"
as=("${pg_as[@]}")
start postgres "$run/logs/postgres.log" "$bin/postgres" -D "$data" \
    -k "$pg_sock" -c listen_addresses= -c unix_socket_permissions=0700 \
    -c logging_collector=off -c log_destination=stderr
as=()
cd "$run"
db="host='$pg_sock' dbname=ngxai"
sql() {
    psql -XAtq -v ON_ERROR_STOP=1 "host='$pg_sock' user=postgres dbname=$1" \
        -c "$2" < /dev/null 9>&-
}
await 60 postgres sql postgres 'select 1' \
    || die "Postgres did not start: $(why "$run/logs/postgres.log" 'FATAL|PANIC') (see $run/logs/postgres.log)"

prepare() {
    [ -n "$(sql postgres "select 1 from pg_database where datname = 'ngxai'")" ] \
        || sql postgres 'create database ngxai'
}
prepare > "$run/logs/migrate.log" 2>&1 \
    || die "the database: $(why "$run/logs/migrate.log" ERROR)"

export AI_REDIS="unix:$redis_sock"
export AI_POSTGRES="$db user=ngxai_admin"
# The migrations make the roles, and act as their owner from then on.
AI_POSTGRES_OWNER="$db user=postgres" \
    "$root/build/aictl" migrate --dir "$root/migrations" \
    >> "$run/logs/migrate.log" 2>&1 < /dev/null 9>&- \
    || die "migrations failed: $(tail -n 1 "$run/logs/migrate.log") (see $run/logs/migrate.log)"


## Tenant and key

aictl() {
    "$root/build/aictl" "$@" 2> "$run/logs/aictl.log" < /dev/null 9>&-
}
aictl tenant list --json > "$run/logs/tenants.json" \
    || die "tenants: $(why "$run/logs/aictl.log" .)"
grep -q '"demo"' "$run/logs/tenants.json" \
    || aictl tenant create demo > /dev/null \
    || die "tenant demo: $(why "$run/logs/aictl.log" .)"
make_key() {
    local said key
    said=$(aictl key create --tenant demo --name demo) \
        || die "demo key: $(why "$run/logs/aictl.log" .)"
    key=$(grep -o -m 1 'ngx-[A-Za-z0-9_-]\{43\}' <<< "$said") \
        || die 'demo key: aictl printed none'
    (umask 077 && echo "$key" > "$run/demo.key.new")
    mv "$run/demo.key.new" "$run/demo.key"
}
[ -s "$run/demo.key" ] || make_key


## Workers

if [ -n "${OLLAMA_HOST:-}" ] && [ -z "${OLLAMA_BASE_URL:-}" ]; then
    OLLAMA_BASE_URL=$(ollama_url "$OLLAMA_HOST")
    export OLLAMA_BASE_URL
fi
# Who can only write to Redis can then make no worker call a provider.
if [ ! -s "$run/sign.key" ]; then
    (umask 077 && od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n' \
        > "$run/sign.key.new")
    mv "$run/sign.key.new" "$run/sign.key"
fi
sign=(--sign-file "$run/sign.key")
if [ -n "$conf" ] && ! grep -q 'sign=' "$conf"; then
    ! grep -q '^[^#]*ai_redis[[:space:]]' "$conf" \
        || say "jobs are not signed: give ai_redis in $conf a sign=file:@RUN_DIR@/sign.key"
    sign=()
fi
since=$(date +%s%3N)
start workers "$run/logs/workers.out" "$root/build/ai-workers" \
    --redis "unix:$redis_sock" --postgres "$db user=ngxai_worker" \
    --ledger-postgres "$db user=ngxai_ledger" --secrets-dir "$run/secrets" \
    "${sign[@]}" --workers "$workers" --jobs "$slots" --log "$run/logs/workers.log" \
    --pid-file "$run/workers.pid" --drain-timeout 5
workers_up() {
    redis-cli -s "$redis_sock" ZRANGEBYSCORE 'ai1:{0}:alive' "$since" +inf \
        | grep -q '^w:'
}
await 30 workers workers_up \
    || die "the workers did not start: $(why "$run/logs/workers.out" .) (see $run/logs/workers.log)"


## nginx

nginx=$(command -v nginx)
from=${conf:-$root/conf/run.conf}
if [ -z "$conf" ] || grep -q '@[A-Z_]*@' "$conf"; then
    user='user root;'
    [ "$(id -u)" = 0 ] || user=
    sed -e "s|@PORT@|$port|g" -e "s|@RUN_DIR@|$run|g" -e "s|@ROOT@|$root|g" \
        -e "s|@REDIS@|unix:$redis_sock|g" -e "s|@USER@|$user|g" \
        -e "s|@CONNECTIONS@|$connections|g" "$from" > "$run/nginx.conf"
    from=$run/nginx.conf
fi
command=("$nginx" -p "$run/" -c "$from" -e "$run/logs/error.log")
grep -Eq '^[[:space:]]*daemon[[:space:]]' "$from" \
    || command+=(-g 'daemon off;')
"${command[@]}" -t -q > "$run/logs/nginx.out" 2>&1 < /dev/null 9>&- \
    || die "$(why "$run/logs/nginx.out" '\[emerg\]'): correct it and run again"
: > "$run/logs/nginx.out"
start nginx "$run/logs/nginx.out" "${command[@]}"

url=http://127.0.0.1:$port
answers() {
    curl -s -o /dev/null --max-time 5 "$url/"
}
if ! await 20 nginx answers; then
    if grep -q 'Address already in use' "$run/logs/nginx.out" \
        "$run/logs/error.log"
    then
        die "$(why "$run/logs/nginx.out" '\[emerg\].*in use'): stop what listens there, or choose another port with PORT="
    fi
    alive nginx \
        || die "nginx did not start: $(why "$run/logs/nginx.out" '\[emerg\]') (see $run/logs/error.log)"
    die "nothing answers at $url: set PORT to what $from listens on"
fi
ready() {
    case $(curl -s -o "$run/logs/ready.out" -w '%{http_code}' --max-time 5 \
        "$url/health/ready") in
        200|404) return 0 ;;
    esac
    return 1
}
await 30 nginx ready \
    || die "the gateway does not get ready: $(head -c 300 "$run/logs/ready.out") (see $run/logs)"

# A key of data that is no longer there helps nobody.
known() {
    [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 10 \
        -H "Authorization: Bearer $(cat "$run/demo.key")" \
        "$url/v1/models")" != 401 ]
}
known || make_key

printf -v key '%q' "$run/demo.key"
cat << READY
ngx-ai ready: $url

curl -N $url/v1/chat/completions \\
  -H "Authorization: Bearer \$(cat $key)" -H 'Content-Type: application/json' \\
  -d '{"model":"echo/echo","stream":true,"messages":[{"role":"user","content":"Hello from ngx-ai"}]}'

READY

died=
code=0
# The shell has its own words for a death by a signal.
{ wait -n -p died "${pids[@]}" || code=$?; } 2> /dev/null
for i in "${!pids[@]}"; do
    [ "${pids[i]}" = "$died" ] || continue
    name=${names[i]}
    case $name in
        nginx) log=$run/logs/error.log ;;
        *) log=$run/logs/$name.log ;;
    esac
    die "$name ended (status $code), so everything stops: $(tail -n 1 "$log" 2>/dev/null) (see $log)"
done
