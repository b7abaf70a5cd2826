#!/bin/sh
# Installs the Debian packages that are missing: packages.sh run|test|full-test.
# As root, or through sudo.  Services that come with them are not started.
set -eu
umask 022

# A package, or command:package where only the command matters.
run='gcc make pkg-config libc6-dev setpriv:util-linux curl:curl
     ca-certificates nginx nginx-dev redis-server:redis-server psql:postgresql-client
     libhiredis-dev libjansson-dev libssl-dev libuv1-dev libpq-dev
     libcurl4-openssl-dev'
test='clang:clang clang-tidy:clang-tidy libcmocka-dev cppcheck:cppcheck git:git openssl:openssl
      perl gcov:gcc node:nodejs npm:npm promtool:prometheus'
full='valgrind:valgrind clang-tools'

die() {
    echo "packages: $1" >&2
    exit 1
}

case ${1:-} in
    run) wanted=$run ;;
    test) wanted="$run $test" ;;
    full-test) wanted="$run $test $full" ;;
    *) die 'usage: packages.sh run|test|full-test' ;;
esac

PATH=$PATH:/usr/sbin:/sbin

has_package() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for item in $wanted; do
    case $item in
        *:*) command -v "${item%%:*}" > /dev/null \
                 || missing="$missing ${item#*:}" ;;
        *) has_package "$item" || missing="$missing $item" ;;
    esac
done

# The server's programs are in no PATH.
found=
for initdb in /usr/lib/postgresql/*/bin/initdb; do
    [ -x "$initdb" ] && found=$initdb
done
[ -n "$found" ] || missing="$missing postgresql"

# Debian 13's clang comes without its runtimes, Debian 12's brings them.
if [ "$1" != run ]; then
    found=
    for library in /usr/lib/llvm-*/lib/clang/*/lib/*/libclang_rt.fuzzer*.a; do
        [ -e "$library" ] && found=$library
    done
    [ -n "$found" ] || missing="$missing libclang-rt-dev"
fi

[ -n "$missing" ] || exit 0
missing=${missing# }

command -v apt-get > /dev/null \
    || die "this is not Debian; install what corresponds to: $missing"

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null \
        || die "not root and no sudo; as root run: apt-get install $missing"
    if [ -t 0 ]; then
        sudo -v || die "sudo refused; as root run: apt-get install $missing"
    else
        sudo -n true 2>/dev/null \
            || die "sudo wants a password; as root run: apt-get install $missing"
    fi
    as_root=sudo
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
mark='# Made by ngx-ai while it installs packages.'
made=

# shellcheck disable=SC2317
clean() {
    rm -f "$log"
    if [ -n "$made" ]; then
        $as_root rm -f "$policy"
    fi
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ ! -e "$policy" ] || grep -q "^$mark" "$policy"; then
    made=1
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" | $as_root tee "$policy" > "$log"
    $as_root chmod 755 "$policy"
fi

apt() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -y -q \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
        -o Acquire::Retries=3 "$@" < /dev/null > "$log" 2>&1
}

why() {
    grep -m 1 '^E: ' "$log" || tail -n 1 "$log"
}

# The lists have a lock of their own, which apt does not wait for.
update() {
    tries=0
    until apt update; do
        grep -q 'Could not get lock' "$log" || return 1
        tries=$((tries + 1))
        [ $tries -lt 60 ] || return 1
        sleep 5
    done
}

echo "packages: installing $missing" >&2
stale=
update || stale=" (apt-get update had failed: $(why))"
# shellcheck disable=SC2086
apt install --no-install-recommends $missing \
    || die "cannot install $missing: $(why)$stale"
