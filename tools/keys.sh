#!/bin/sh
# Makes, where it is missing, what the parts of ngx-ai know each other by:
#
#   keys.sh DIR [OWNER]
#
#   DIR/sign.key               edges sign jobs with it, workers ask for it
#   DIR/redis-edge.password    of the user ngxai-edge, and so on for worker and
#   DIR/redis-….password       admin
#   DIR/redis-users.acl        Redis' users, with the hashes of these passwords
#
# Everything is for its owner alone.  What Redis and the workers read belongs
# to OWNER, where one is given.  On several machines: make it on one and copy.
set -eu

dir=$1
owner=${2:-}
acl=$(dirname "$0")/redis-users.acl
[ -f "$acl" ] || acl=$(dirname "$0")/../conf/redis-users.acl

umask 077
mkdir -p "$dir"


secret() {
    od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n'
}


# A file is there whole, or not at all.
place() {
    [ -z "$owner" ] || [ -z "$2" ] || chown "$owner" "$1.new"
    mv "$1.new" "$1"
}


if [ ! -s "$dir/sign.key" ]; then
    { secret; echo; } > "$dir/sign.key.new"
    place "$dir/sign.key" yes
fi

for user in edge worker admin; do
    file=$dir/redis-$user.password
    [ ! -s "$file" ] || continue
    rm -f "$dir/redis-users.acl"
    { secret; echo; } > "$file.new"
    case $user in
        worker) place "$file" yes ;;
        *) place "$file" '' ;;
    esac
done

if [ ! -s "$dir/redis-users.acl" ]; then
    cp "$acl" "$dir/redis-users.acl.new"
    for user in edge worker admin; do
        name=$(echo "$user" | tr '[:lower:]' '[:upper:]')
        sum=$(tr -d '\n' < "$dir/redis-$user.password" | sha256sum \
            | cut -d ' ' -f 1)
        sed "s|@${name}_SHA256@|$sum|" "$dir/redis-users.acl.new" \
            > "$dir/redis-users.acl.sum"
        mv "$dir/redis-users.acl.sum" "$dir/redis-users.acl.new"
    done
    place "$dir/redis-users.acl" yes
fi
