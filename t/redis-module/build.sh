#!/bin/bash
# Builds the test module: build.sh OUT_DIR, as tools/module.sh builds the real.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
src=${NGX_SRC:-/usr/share/nginx/src}

flags=()
if [ -f "$src/conf_flags" ]; then
    # shellcheck disable=SC1091
    . "$src/conf_flags"
    flags+=("${NGX_CONF_FLAGS[@]}")
else
    flags+=(--with-compat --with-threads --with-http_ssl_module
            --with-http_v2_module --with-http_realip_module)
fi
opt="-std=gnu11 -O2 -g -D_GNU_SOURCE -Wall -Wextra -Werror ${NGX_CC_OPT:-}"
flags+=("--with-cc=${CC:-gcc}" "--with-cc-opt=$opt"
        "--with-ld-opt=${NGX_LD_OPT:-}")
# shellcheck disable=SC2206
flags+=(${NGX_CONF:-})
flags+=("--add-dynamic-module=$here" "--builddir=$out/objs")

wanted=$(
    printf '%s\n' "$src" "${flags[@]}"
    cksum "$src/src/core/nginx.h" "$here/config"
    ls "$root/src/redis"
)

if [ ! -f "$out/objs/Makefile" ] \
   || [ "$(cat "$out/configured" 2>/dev/null)" != "$wanted" ]
then
    rm -rf "$out/tree" "$out/objs"
    mkdir -p "$out/tree" "$out/objs"
    ln -s "$src"/* "$out/tree"
    rm -f "$out/tree/Makefile"
    (cd "$out/tree" && ./configure "${flags[@]}") > "$out/configure.log" 2>&1
    printf '%s\n' "$wanted" > "$out/configured"
fi

make -s -C "$out/tree" -f "$out/objs/Makefile" modules
