#!/bin/sh
# check-agent.sh BUILD: holds the finished agent against its two lists. profiler/signal_safe.list: what the
# objects of handler and writer (those that include signal_safe.h) may call, directly or through common/.
# preload/exports.list: what the
# library exports. And it imports nothing newer than GLIBC_2.17, needs libc alone, and is bound at load time.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${1:?usage: check-agent.sh BUILD}
library=$build/libhpprof.so
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
status=0

wrong() {
    echo "check-agent: $*"
    status=1
}

# listed FILE: the first word of each line that is no comment, sorted
listed() { awk '/^[^#]/ { print $1 }' "$1" | sort -u; }

# complain WHAT: one complaint for each line of standard input
complain() {
    while read -r line; do echo "check-agent: $1 $line"; done >"$work/complaints"
    [ ! -s "$work/complaints" ] || { cat "$work/complaints"; status=1; }
}

# Handler and writer, linked with nothing else.
sources=$(grep -l '#include "profiler/signal_safe.h"' common/*.c common/arch/*/*.c profiler/*.c preload/*.c preload/remap/*.c)
objects=$(for source in $sources; do echo "$build/agent/${source%.c}.o"; done)
[ -n "$objects" ] || wrong "no source includes profiler/signal_safe.h"
# shellcheck disable=SC2046,SC2086 # lists of words
ar rcs "$work/common.a" $(find "$build/agent/common" -name '*.o') && ld -r -o "$work/safe.o" $objects "$work/common.a" ||
    exit 1
nm -u "$work/safe.o" | awk '$2 != "_GLOBAL_OFFSET_TABLE_" { print $2 }' | sort -u >"$work/calls"
listed profiler/signal_safe.list >"$work/allowed"
comm -23 "$work/calls" "$work/allowed" >"$work/difference"
complain "handler or writer uses what profiler/signal_safe.list does not allow:" <"$work/difference"
comm -13 "$work/calls" "$work/allowed" >"$work/difference"
complain "profiler/signal_safe.list allows what nothing uses:" <"$work/difference"

# The library.
nm -D --defined-only --format=posix "$library" | awk '{ sub(/@.*/, "", $1); print $1 }' | sort -u >"$work/exports"
listed preload/exports.list >"$work/allowed"
comm -3 "$work/exports" "$work/allowed" | tr -d '\t' >"$work/difference"
complain "exported or in preload/exports.list, but not both:" <"$work/difference"
readelf -dW "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -Ev '^(libc\.so\.6|ld-linux.*)$' >"$work/difference"
complain "libhpprof.so needs" <"$work/difference"
nm -D --undefined-only "$library" | sed -n 's/.*@\(GLIBC_.*\)/\1/p' | sort -u >"$work/versions"
while read -r version; do
    [ "$(printf '%s\nGLIBC_2.17\n' "$version" | sort -V | tail -n 1)" = GLIBC_2.17 ] ||
        nm -D --undefined-only "$library" | sed -n "s/.* \(.*@$version\)\$/\1/p"
done <"$work/versions" >"$work/difference"
complain "newer than GLIBC_2.17:" <"$work/difference"
readelf -dW "$library" | grep -q '(TEXTREL)\|Flags:.*TEXTREL' && wrong "libhpprof.so has text relocations"
readelf -dW "$library" | grep -q 'BIND_NOW' || wrong "libhpprof.so is not bound at load time"
readelf -lW "$library" | grep -q 'GNU_RELRO' || wrong "libhpprof.so has no RELRO segment"
readelf -lW "$library" | grep -q '^  [A-Z_]* .* RWE ' && wrong "libhpprof.so has a segment both writable and executable"
exit $status
