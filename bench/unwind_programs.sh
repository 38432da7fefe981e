#!/bin/bash
# unwind_programs.sh BUILD [WORKLOAD…]: of stock programs at 997 Hz, which share of the sampled weight lies in
# stacks that reach their thread's root: by unwind tables, which are there from the start, and by frame pointers
# alone. Fails where tables give less than 99 %.
set -u
build=$(realpath "${1:?usage: unwind_programs.sh BUILD [WORKLOAD...]}")
shift
hpprof=$build/hpprof
. "$(dirname "$(realpath "$0")")/workloads.bash"
work=$build/bench/unwind_programs
workload_begin

# record HOW: the workload, into NAME.HOW
record() {
    HPPROF_UNWIND=$1 timeout -k 5 300 "$hpprof" record -F 997 --remap off -o "$work/$name.$1" -- "${COMMAND[@]}" \
        >/dev/null 2>"$work/$name.$1.err" || { cat "$work/$name.$1.err"; exit 1; }
}

# reached HOW: samples, and the per cent of them whose stack begins at a root
reached() {
    "$hpprof" flamegraph --folded "$work/$name.$1" 2>/dev/null | awk '
        { all += $NF; if (!/^\[(unfinished|truncated)[^;]*\]/ && !/(^|;)\[(unknown|anon)\]/) good += $NF }
        END { printf "%d %.2f", all, all ? 100 * good / all : 0 }'
}

echo "CPU samples (997 Hz) whose stack reaches its thread's root, tables in the cache:"
status=0
printf '%-10s %9s %12s %18s\n' program samples 'by tables' 'by frame pointers'
read -ra names <<<"${*:-$WORKLOADS}"
for name in "${names[@]}"; do
    workload "$name"
    if [ -n "$WHY" ]; then
        printf '%-10s skipped: %s\n' "$name" "$WHY"
        continue
    fi
    record auto # leaves the tables
    rm -f "$work/$name.auto"
    record auto
    record fp
    read -r samples auto <<<"$(reached auto)"
    read -r _ fp <<<"$(reached fp)"
    verdict=
    awk "BEGIN { exit !($auto < 99) }" && status=1 verdict='  MISSED: at least 99 %'
    printf '%-10s %9d %10.2f %% %16.2f %%%s\n' "$name" "$samples" "$auto" "$fp" "$verdict"
done
exit $status
