#!/bin/bash
# remap.sh BUILD [SCALE [FIGURE...]]: what moving text to huge pages brings and costs, each figure with the bound that it
# must keep. On a machine that should have nothing else to do; about ten minutes, or SCALE times that. FIGURE: images,
# shares, huge, versions, fills, stalls, memory, calls, builds; all of them unless some are named. PEER_PRELOAD=FILE: a
# library that moves text too when it is preloaded, for calls.
# shellcheck disable=SC2046,SC2086,SC2206 # lists of words: $(agent ...)
set -eu
build=$(realpath "${1:?usage: remap.sh BUILD [SCALE [FIGURE...]]}") scale=${2:-1}
here=$(dirname "$(realpath "$0")")
# shellcheck source=bench/figures.bash
. "$here/figures.bash"
# shellcheck source=bench/workloads.bash
. "$here/workloads.bash"
hpprof=$build/hpprof pairs=$build/bench/pairs programs=$build/tests/programs
work=$build/bench/remap-work
rm -rf "$work"
mkdir -p "$work"
unset "${!HPPROF_@}" LD_PRELOAD
export HPPROF_CACHE=$work/cache HPPROF_TEXT_CACHE=$work/no-text HPPROF_SESSION=$work/session
pages_before=$(cat /proc/sys/vm/nr_hugepages 2>/dev/null || echo 0) mounted=''

finish() {
    [ -z "$mounted" ] || umount "$mounted"
    reserve "$pages_before" || true
    rm -rf "$work"
}
trap finish EXIT

# reserve N: so many huge pages; fails if the kernel gives fewer
reserve() {
    { echo "$1" >/proc/sys/vm/nr_hugepages; } 2>/dev/null && [ "$(cat /proc/sys/vm/nr_hugepages)" -eq "$1" ]
}
# agent VARIABLE=VALUE…: the variables of a program under the agent, in the order that pairs wants
agent() { echo "LD_PRELOAD=$build/libhpprof.so $*"; }
# under WORD…: the command that env makes of these, with the agent; the profile of each of its processes is in the
# session's folder, and complete, when this returns
under() {
    begin_session
    env $(agent) "$@" >"$work/out" 2>"$work/err"
    end_session
}
begin_session() { rm -rf "$HPPROF_SESSION" && mkdir "$HPPROF_SESSION"; }
# A writer holds its file as long as it lives.
end_session() {
    local file
    for file in "$HPPROF_SESSION"/*.pb; do
        [ ! -e "$file" ] || flock "$file" true
    done
}
# json JQ…: what jq makes of the session's largest profile
json() { "$hpprof" report --json -n 0 -b image "$(ls -S "$HPPROF_SESSION"/*.pb | head -n 1)" 2>/dev/null | jq -r "$@"; }
# libraries PROGRAM: it, and the libraries that it is linked with
libraries() { realpath "$1" && ldd "$1" | grep -o '/[^ ]*' | xargs realpath; }
# warm PROGRAM: copies of its text, in the cache $work/text
warm() { "$hpprof" cache --text-cache="$work/text" warm $(libraries "$1") >"$work/warm" 2>&1 || tail -n 1 "$work/warm"; }
# drop FILE: what the page cache has of it
drop() { sync "$1" && dd if="$1" iflag=nocache count=0 status=none; }

# shellcheck source=bench/remap_text.bash
. "$here/remap_text.bash"
# shellcheck source=bench/remap_costs.bash
. "$here/remap_costs.bash"
# shellcheck source=bench/remap_calls.bash
. "$here/remap_calls.bash"

say_machine
shift "$(($# < 2 ? $# : 2))"
[ $# -gt 0 ] || set -- images shares huge versions fills stalls memory calls builds
for figure; do
    echo
    "$figure"
done
