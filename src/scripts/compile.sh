#!/bin/sh
# Compiles the Redis scripts into C: compile.sh SCRIPTS_DIR OUT_DIR writes
# OUT_DIR/ai_scripts.c.  Each script is its prelude (_prelude.lua) followed by
# its own text, where a line "-- @include NAME" stands for _NAME.lua (which may
# have such lines, too), with the SHA-1 that EVALSHA wants computed here, at build time.
set -eu

dir=$1
out=$2
mkdir -p "$out"
tmp=$(mktemp "$out/ai_scripts.XXXXXX")
trap 'rm -f "$tmp" "$tmp.lua"' EXIT

{
    echo '/* Made by src/scripts/compile.sh; do not edit. */'
    echo
    echo '#include "ai_scripts.h"'
    echo
    echo
    echo 'const ai_script_t ai_scripts[] = {'
} > "$tmp"

for name in body admit claim emit settle cancel leave join beat sweep \
    principal inherit seed keep purge hits find breaker pay
do
    # What ends a job must not fail for want of memory; what begins one must.
    # The records of hits wait at their edge.
    case $name in
        body|admit|emit|join|principal|keep|find|hits) flags= ;;
        *) flags=' flags=allow-oom' ;;
    esac
    {
        echo "#!lua$flags"
        cat "$dir/_prelude.lua"
        awk -v dir="$dir" '
            function text(file,   line, got, word) {
                while ((got = (getline line < file)) > 0) {
                    split(line, word)
                    if (word[1] == "--" && word[2] == "@include")
                        text(dir "/_" word[3] ".lua")
                    else
                        print line
                }
                if (got < 0) { print "no " file > "/dev/stderr"; exit 1 }
                close(file)
            }
            BEGIN { text(ARGV[1]) }' "$dir/$name.lua"
    } > "$tmp.lua"
    sha=$(sha1sum < "$tmp.lua" | cut -c1-40)
    size=$(wc -c < "$tmp.lua")
    {
        echo "    { \"$name\", \"$sha\", $((size)),"
        sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/      "/' \
            -e 's/$/\\n"/' "$tmp.lua"
        echo '    },'
    } >> "$tmp"
done

echo '    { 0, 0, 0, 0 }' >> "$tmp"
echo '};' >> "$tmp"

if ! cmp -s "$tmp" "$out/ai_scripts.c"; then
    cp "$tmp" "$out/ai_scripts.c"
fi
