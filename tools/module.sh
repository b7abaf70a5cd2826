#!/bin/bash
# Builds the nginx module: module.sh OUT_DIR leaves OUT_DIR/ngx_http_ai_module.so.
# nginx's tree is only read (a folder of links to it is configured instead), so
# an ordinary user can build against /usr/share/nginx/src.
#
# NGX_SRC   sources of nginx or Debian's nginx-dev tree
# NGX_CONF  more arguments of nginx's configure
# NGX_CC_OPT, NGX_LD_OPT  more flags, as tools/asan-nginx.sh wants them
# CC        gcc or clang
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
src=${NGX_SRC:-/usr/share/nginx/src}
cc=${CC:-gcc}
tree=$out/ngx/tree
objs=$out/ngx/objs
stamp=$out/ngx/configured

die() {
    echo "module: $1" >&2
    exit 1
}

[ -x "$src/configure" ] \
    || die "no nginx sources in $src: install nginx-dev or set NGX_SRC"

case $root$out$src in
    *[[:space:]]*) die "nginx's build takes no blanks in a path: move $root" ;;
esac

flags=()
if [ -f "$src/conf_flags" ]; then
    # shellcheck disable=SC1091
    . "$src/conf_flags"
    flags+=("${NGX_CONF_FLAGS[@]}")
else
    flags+=(--with-compat --with-threads --with-http_ssl_module
            --with-http_v2_module --with-http_realip_module)
fi
# As nginx does, callbacks are let off parameters that they have no use for.
opt='-std=gnu11 -O2 -D_GNU_SOURCE'
opt="$opt -Wall -Wextra -Werror -Wno-unused-parameter"
opt="$opt ${NGX_CC_OPT:-}"
flags+=("--with-cc=$cc" "--with-cc-opt=$opt" "--with-ld-opt=${NGX_LD_OPT:-}")
# shellcheck disable=SC2206
flags+=(${NGX_CONF:-})
flags+=("--add-dynamic-module=$root" "--builddir=$objs")

# What decides the generated Makefile; its rules then watch the sources.
wanted=$(
    printf '%s\n' "$src" "${flags[@]}"
    cksum "$src/src/core/nginx.h" "$src/src/core/ngx_config.h" "$root/config"
    cd "$root"
    find src -name '*.[ch]' | LC_ALL=C sort
)

if [ ! -f "$objs/Makefile" ] || [ ! -f "$stamp" ] \
   || [ "$(cat "$stamp")" != "$wanted" ]
then
    rm -rf "$out/ngx"
    mkdir -p "$tree" "$objs"
    ln -s "$src"/* "$tree"
    rm -f "$tree/Makefile"
    (cd "$tree" && ./configure "${flags[@]}") > "$out/ngx/configure.log" 2>&1 || {
        tail -n 20 "$out/ngx/configure.log" >&2
        die "nginx's configure failed: see $out/ngx/configure.log"
    }
    printf '%s\n' "$wanted" > "$stamp"
fi

make -s -C "$tree" -f "$objs/Makefile" modules

if ! cmp -s "$objs/ngx_http_ai_module.so" "$out/ngx_http_ai_module.so"; then
    # By rename: an nginx that has the old one mapped must keep it.
    cp "$objs/ngx_http_ai_module.so" "$out/ngx_http_ai_module.so.new"
    mv "$out/ngx_http_ai_module.so.new" "$out/ngx_http_ai_module.so"
fi
