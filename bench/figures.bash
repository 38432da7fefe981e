# What the benchmarks that print figures with bounds have in common. Sourced; $scale is theirs.
# shellcheck shell=bash disable=SC2154

# rounds N: so many at this scale, an odd number of at least 3
rounds() { awk -v n="$1" -v scale="$scale" 'BEGIN { n = int(n * scale / 2) * 2 + 1; print (n < 3 ? 3 : n) }'; }
# column FILE NAME N: of the line for NAME in what pairs printed, that word
column() { awk -v name="$2" -v n="$3" '$1 == name { print $n }' "$1"; }
no_bound() { printf '  %-48s %9.2f\n' "$1" "$2"; }
# at_most WHAT VALUE BOUND, at_least WHAT VALUE BOUND: as bench/verdict.h prints them
at_most() {
    awk -v what="$1" -v value="$2" -v bound="$3" 'BEGIN {
        printf "  %-48s %9.2f  at most %-5g %s\n", what, value, bound, (value + 0 <= bound + 0 ? "ok" : "MISSED") }'
}
at_least() {
    awk -v what="$1" -v value="$2" -v bound="$3" 'BEGIN {
        printf "  %-48s %9.2f  at least %-4g %s\n", what, value, bound, (value + 0 >= bound + 0 ? "ok" : "MISSED") }'
}
# median FILE EXPRESSION: of what awk's EXPRESSION is in its lines
median() { awk "{ print $2 }" "$1" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
say_machine() {
    echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
}
