#!/bin/bash
# The gateways of others, for bench/run.sh, which sources this: installs them
# into build/rivals with the registries' own clients, starts them, and adds
# them as targets.  What cannot be had or started is told in the table.
#
# run.sh's: root, here, dir, mock_port, fast, fill, say, await, free_port, add.
# shellcheck disable=SC2154
set -eu

rivals=()
rival_pids=()
rival_procs=()
rival_home=$root/build/rivals


# rival NAME VERSION WHY: WHY is empty for one that runs.
rival() {
    rival_json "$1" "$2" "$3" >> "$dir/rivals.tmp"
    [ -z "$3" ] || say "$1: $3"
}


rival_json() {
    perl -MJSON::PP -e 'print JSON::PP->new->canonical->encode({
        name => $ARGV[0], version => $ARGV[1], why => $ARGV[2] }), "\n"' "$@"
}


# started NAME VERSION PID URL ARGUMENTS…: a first answer is asked for.
started() {
    local name=$1 version=$2 pid=$3 url=$4
    shift 4
    if await 120 "$pid" curl -sf -o "$dir/$name.first" --max-time 10 "$@" \
        -H 'Content-Type: application/json' -d \
        '{"model":"mock","messages":[{"role":"user","content":"hi"}]}' "$url"
    then
        rivals+=("$name")
        rival_procs+=(--proc "$name=$pid")
        rival "$name" "$version" ''
    else
        rival "$name" "$version" 'did not start (--keep leaves its log)'
    fi
}


portkey() {
    local version node pid
    version=$(sed -n 's/.*"@portkey-ai\/gateway": "\(.*\)".*/\1/p' \
        "$here/rivals/package.json")
    mkdir -p "$rival_home/node"
    if ! cmp -s "$here/rivals/package-lock.json" "$rival_home/node/.lock"; then
        say "installing Portkey's gateway $version from npm"
        cp "$here/rivals/package.json" "$here/rivals/package-lock.json" \
            "$rival_home/node/"
        # The lock names no addresses: npm asks the registry it is told to.
        if ! (cd "$rival_home/node" && timeout 300 npm ci --ignore-scripts \
            --no-audit --no-fund --loglevel=error) > "$dir/npm.log" 2>&1
        then
            rival portkey "$version" 'not reachable here'
            return
        fi
        cp "$here/rivals/package-lock.json" "$rival_home/node/.lock"
    fi
    for node in "$rival_home"/node/node_modules/node-linux-*/bin/node; do :; done
    [ -x "$node" ] || node=node
    cp "$here/rivals/portkey.mjs" "$rival_home/node/"
    portkey_port=$(free_port)
    NODE_ENV=production setpriv --pdeathsig TERM -- "$node" \
        "$rival_home/node/portkey.mjs" --headless "--port=$portkey_port" \
        > "$dir/portkey.log" 2>&1 &
    pid=$!
    rival_pids+=("$pid")
    started portkey "$version" "$pid" \
        "http://127.0.0.1:$portkey_port/v1/chat/completions" \
        -H 'x-portkey-provider: openai' -H 'Authorization: Bearer sk-mock' \
        -H "x-portkey-custom-host: http://127.0.0.1:$mock_port/with/$fast/v1"
}


litellm() {
    local version python pid list=$here/rivals/requirements.txt
    version=$(sed -n 's/^litellm==//p' "$list")
    python=$rival_home/python/bin
    if ! cmp -s "$list" "$rival_home/python/.lock"; then
        say "installing LiteLLM $version from PyPI: some minutes"
        if ! { python3 -m venv "$rival_home/python" \
            && timeout 600 "$python/pip" install -q --no-deps \
                --disable-pip-version-check -r "$list"; } \
            > "$dir/pip.log" 2>&1
        then
            rival litellm "$version" 'not reachable here'
            return
        fi
        cp "$list" "$rival_home/python/.lock"
    fi
    litellm_port=$(free_port)
    litellm_key=sk-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    fill -e "s|@KEY@|$litellm_key|" "$here/rivals/litellm.yaml" \
        > "$dir/litellm.yaml"
    # The prices come with the package; elsewhere it would fetch them.
    LITELLM_MODE=PRODUCTION LITELLM_LOG=ERROR LITELLM_LOCAL_MODEL_COST_MAP=True \
        setpriv --pdeathsig TERM -- "$python/litellm" --host 127.0.0.1 \
        --port "$litellm_port" --config "$dir/litellm.yaml" \
        --num_workers "$(nproc)" --telemetry False \
        > "$dir/litellm.log" 2>&1 &
    pid=$!
    rival_pids+=("$pid")
    started litellm "$version" "$pid" \
        "http://127.0.0.1:$litellm_port/v1/chat/completions" \
        -H "Authorization: Bearer $litellm_key"
}


rivals_start() {
    : > "$dir/rivals.tmp"
    portkey
    litellm
    rival bifrost '' 'not reachable here: its npm package fetches a binary from elsewhere'
    { printf '['; paste -sd, "$dir/rivals.tmp"; printf ']'; } \
        > "$dir/rivals.json"
}


# rival_targets OPTIONS MODEL: into targets.
rival_targets() {
    local name
    for name in ${rivals[@]+"${rivals[@]}"}; do
        case $name in
            portkey)
                add portkey "http://127.0.0.1:$portkey_port/v1/chat/completions" \
                    --header 'x-portkey-provider: openai' \
                    --header "x-portkey-custom-host: http://127.0.0.1:$mock_port/with/$1/v1" \
                    --header 'Authorization: Bearer sk-mock' ;;
            litellm)
                add litellm "http://127.0.0.1:$litellm_port/v1/chat/completions" \
                    --header "Authorization: Bearer $litellm_key" --model "$2" ;;
        esac
    done
}
