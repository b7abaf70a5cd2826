#!/bin/bash
# Builds Debian's own nginx, and the module, with AddressSanitizer:
# asan-nginx.sh OUT_DIR leaves OUT_DIR/nginx and OUT_DIR/ngx_http_ai_module.so.
# The source package comes through apt under a configuration in OUT_DIR, so
# that nothing of the machine's own changes.  Then
#
#   AI_T_NGINX=OUT_DIR/nginx prove -It/lib t/20-redis-transport.t
#
# COV=1 gives the module gcov's counters, too.
# UBSan is left out: nginx 1.22 itself gives NULL to memcpy() at its start.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
cc=${CC:-gcc}
san='-O1 -g -fsanitize=address -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1'

die() {
    echo "asan-nginx: $1" >&2
    exit 1
}

fetch() {
    # The sources of every archive that has Debian's main.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(SITE) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' \
        | awk '$4 == "main" { print "deb-src", $2, $3, $4 }' | sort -u \
        > "$out/sources.list"
    [ -s "$out/sources.list" ] || die 'apt knows no archive of Debian'

    mkdir -p "$out/lists/partial" "$out/cache/archives/partial"
    local apt=(-q "-oDir::Etc::sourcelist=$out/sources.list"
               -oDir::Etc::sourceparts=/dev/null
               "-oDir::State::Lists=$out/lists" "-oDir::Cache=$out/cache")
    [ "$(id -u)" != 0 ] || apt+=(-oAPT::Sandbox::User=root)

    apt-get "${apt[@]}" update > "$out/apt.log" 2>&1 \
        || die "apt-get update failed: see $out/apt.log"
    # An archive may have gone on from what is installed, or not have the
    # files of its index yet: any other of the same version of nginx, which
    # Debian keeps to one ABI, serves as well.
    local take
    for take in "$version" $(
        apt-cache "${apt[@]}" showsrc --only-source nginx \
            | sed -n "s/^Version: \(${version%-*}-.*\)/\1/p" | sort -rV
    ); do
        (cd "$out" && apt-get "${apt[@]}" source "nginx=$take") \
            >> "$out/apt.log" 2>&1 || continue
        [ "$take" = "$version" ] \
            || echo "asan-nginx: nginx $take, as $version cannot be had" >&2
        return
    done
    die "no source of nginx $version: see $out/apt.log"
}

version=$(dpkg-query -W -f '${source:Version}' nginx 2>/dev/null) \
    || die 'install nginx first: its version is the one that is built'

if [ ! -x "$out/nginx" ]; then
    src=$(find "$out" -maxdepth 1 -type d -name 'nginx-*' | head -n 1)

    if [ -z "$src" ]; then
        fetch
        src=$(find "$out" -maxdepth 1 -type d -name 'nginx-*' | head -n 1)
    fi

    # shellcheck disable=SC1091
    . "${NGX_SRC:-/usr/share/nginx/src}/conf_flags"
    # The modules that are built into Debian's, for what stands beside ours.
    mapfile -t modules < <(nginx -V 2>&1 \
        | grep -oE -- '--with-http_[a-z0-9_]+_module( |$)' | tr -d ' ')
    (
        cd "$src"
        ./configure "${NGX_CONF_FLAGS[@]}" "${modules[@]}" --with-debug --with-cc="$cc" \
            --with-cc-opt="$san" --with-ld-opt=-fsanitize=address
        make -j2
    ) > "$out/build.log" 2>&1 || die "nginx does not build: see $out/build.log"
    cp "$src/objs/nginx" "$out/nginx"
fi

cov=${COV:+ --coverage}
CC=$cc NGX_CC_OPT="$san$cov" NGX_LD_OPT="-fsanitize=address$cov" \
    "$root/tools/module.sh" "$out/module"
cp "$out/module/ngx_http_ai_module.so" "$out/"
