#!/bin/bash
# check.sh BUILD [WORKLOAD…]: takes samples of stock programs at work, walks each stack once more with libdw and
# compares (tests/unwind/second_opinion). All of them together must give 10,000 samples and be equal as that says.
# Called by `make unwind-check`.
set -u
here=$(dirname "$(realpath "$0")")
build=$(realpath "${1:?usage: check.sh BUILD [WORKLOAD...]}")
shift
. "$here/../../bench/workloads.bash"
work=$build/tests/unwind/work
workload_begin

# sampled LIBRARY RATE: the workload, with its output thrown away
sampled() {
    timeout -k 5 300 env LD_PRELOAD="$1" HPPROF_OUT="$work/%e.%p.pb" HPPROF_FREQ="$2" HPPROF_REMAP=off \
        HPPROF_DEPTH=1024 "${COMMAND[@]}" >/dev/null
}

skipped=
read -ra names <<<"${*:-$WORKLOADS}"
for name in "${names[@]}"; do
    workload "$name"
    if [ -n "$WHY" ]; then
        skipped+="skipped: $name: $WHY"$'\n'
        continue
    fi
    mkdir -p "$work/samples/$name"
    # the first run leaves the tables in the cache, so that the second has them from its first sample on
    sampled "$build/libhpprof.so" 997
    for turn in 1 2; do
        HPP_SECOND_OPINION_OUT=$work/samples/$name/$turn sampled "$build/tests/libhpprof-check.so" 997
    done
    echo "$name:"
    "$build/tests/unwind/second_opinion" "$work/samples/$name"/[12].*
done
echo "all:"
"$build/tests/unwind/second_opinion" -v "$work"/samples/*/[12].* >"$work/report"
status=$?
grep -v 'equal as far' "$work/report" | grep -A 2 '^[a-z]' | head -60 # where and how, of those that are not classed as right
grep '^  *[0-9]' "$work/report"
printf '%s' "$skipped"
compared=$(sed -n 's/^ *\([0-9]*\) compared.*/\1/p' "$work/report")
if [ $# -eq 0 ] && [ "$compared" -lt 10000 ]; then
    echo "only $compared samples, not 10,000"
    status=1
fi
exit $status
