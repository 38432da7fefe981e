#!/bin/bash
# sampler.sh BUILD [SCALE [FIGURE...]]: what sampling costs beside others that sample, each figure with the bound that it must keep.
# On a machine that should have nothing else to do; about ten minutes, or SCALE times that. FIGURE: handlers,
# slopes, compiles, bytes, memory, starts; all of them unless some are named.
# shellcheck disable=SC2046,SC2206 # lists of words: $(profiled ...)
set -eu
build=$(realpath "${1:?usage: sampler.sh BUILD [SCALE [FIGURE...]]}") scale=${2:-1}
here=$(dirname "$(realpath "$0")")
# shellcheck source=bench/figures.bash
. "$here/figures.bash"
hpprof=$build/hpprof agent=$build/libhpprof.so pairs=$build/bench/pairs empty=$build/bench/libsampler_empty.so
work=$build/bench/sampler-work
rm -rf "$work"
mkdir -p "$work"
unset "${!HPPROF_@}"
export HPPROF_CACHE=$work/cache # of the programs under test, as their profiles are

# profiled FOLDER FREQUENCY: the variables of a program under the agent
profiled() {
    mkdir -p "$work/$1"
    echo "LD_PRELOAD=$agent HPPROF_REMAP=off HPPROF_OUT=$work/$1/%e.%p.pb HPPROF_FREQ=$2"
}
# weight FOLDER: samples in the profiles below it, once they are complete
weight() {
    find "$work/$1" -name '*.pb' -exec "$hpprof" merge -o "$work/all" {} + 2>/dev/null
    "$hpprof" report --json "$work/all" | jq .total_samples
}
# signals COMMAND…: the SIGPROFs that it and its children were given; nothing where the kernel does not tell
signals() {
    perf stat -x, -o "$work/stat" -e signal:signal_deliver --filter 'sig == 27' -- "$@" >/dev/null 2>&1 || return 0
    awk -F, '/signal_deliver/ && $1 + 0 == $1 { print $1 }' "$work/stat"
}

# ---- the others ------------------------------------------------------------------------------------

libprofiler=- pprof_rs=-
for file in /usr/lib/*/libprofiler.so.0 /usr/lib64/libprofiler.so.0; do
    [ ! -e "$file" ] || libprofiler=$file
done
[ "$libprofiler" != - ] || echo 'not compared with libprofiler: it is not installed (libgoogle-perftools-dev)'
if ! command -v cargo >/dev/null; then
    echo 'not compared with pprof-rs: there is no cargo'
elif ! (cd "$here/pprof_rs" && CARGO_TARGET_DIR="$build/bench/pprof_rs" cargo build --quiet --release --locked) >"$work/cargo" 2>&1; then
    echo "not compared with pprof-rs: cargo cannot build it: $(tail -n 1 "$work/cargo")"
else
    pprof_rs=$build/bench/pprof_rs/release/libbench_pprof_rs.so
fi
perf record -q -o "$work/perf" true >/dev/null 2>&1 && perf=yes || perf=
[ -n "$perf" ] || echo 'not compared with perf: it cannot record here'

# ---- figures ---------------------------------------------------------------------------------------

handlers() {
    echo 'The signal handler, and others on the same stack by frame pointer:'
    "$build/bench/sampler_handler" "$(rounds 101)" 20 "$work" "$libprofiler" "$pprof_rs" 2>"$work/err" || cat "$work/err"
}

# The slope of what signals cost, over real rates: a perf task clock brings more than the kernel's ticks do.
slopes() {
    local rate work_command=("$build/bench/sampler_work" 1000) settings=(HPPROF_TIMER=perf HPPROF_MAX_CPU=100)
    echo
    echo 'A signal delivered by a perf task clock, its share of the writer included:'
    env $(profiled try 997) "${settings[@]}" "${work_command[@]}" 2>"$work/err"
    if ! grep -aq 'timer=perf' "$work"/try/*.pb || [ -z "$(signals true)" ]; then
        echo '  not measured: this needs perf events with signals, and the kernel to count them'
        return
    fi
    "$pairs" "$(rounds 11)" cpu plain : agent-1 $(profiled rates 1) "${settings[@]}" \
        : agent-250 $(profiled rates 250) "${settings[@]}" : agent-2000 $(profiled rates 2000) "${settings[@]}" \
        : agent-10000 $(profiled rates 10000) "${settings[@]}" : empty-250 LD_PRELOAD="$empty" EMPTY_FREQ=250 \
        : empty-2000 LD_PRELOAD="$empty" EMPTY_FREQ=2000 : empty-10000 LD_PRELOAD="$empty" EMPTY_FREQ=10000 \
        -- "${work_command[@]}" | tee "$work/slopes.table"
    : >"$work/points"
    for rate in 1 250 2000 10000; do
        echo "agent $(signals env $(profiled counted $rate) "${settings[@]}" "${work_command[@]}") $(column "$work/slopes.table" agent-$rate 4)"
        [ $rate = 1 ] || echo "empty $(signals env LD_PRELOAD="$empty" EMPTY_FREQ=$rate "${work_command[@]}") $(column "$work/slopes.table" empty-$rate 4)"
    done >"$work/points"
    echo 'empty 0 0' >>"$work/points"
    sed 's/^\([a-z]*\) \([0-9]*\) \(.*\)/  \1: \2 signals, \3 ms/' "$work/points"
    slope() {
        awk -v who="$1" '$1 == who { n++; x += $2; y += $3; xx += $2 * $2; xy += $2 * $3 }
            END { printf "%.1f\n", (n * xy - x * y) / (n * xx - x * x) * 1e6 }' "$work/points"
    }
    no_bound 'a signal with an empty handler, ns' "$(slope empty)"
    no_bound 'a signal with the agent, ns' "$(slope agent)"
    at_most 'agent / empty handler' "$(awk -v a="$(slope agent)" -v e="$(slope empty)" 'BEGIN { print a / e }')" 1.5
}

# The inputs of a compile of some seconds.
# shellcheck source=bench/workloads.bash
make_source() (
    . "$here/workloads.bash"
    workload_repository() { :; } # of no use here
    workload_prepare "$work/in"
)
compile=(g++ -std=c++17 -O1 -c "$work/in/work.cc" -o "$work/work.o")

compiles() {
    make_source
    local who ours others=() preload_libprofiler preload_pprof_rs
    preload_libprofiler="LD_PRELOAD=$libprofiler CPUPROFILE=$work/cpuprofile CPUPROFILE_FREQUENCY=997"
    preload_pprof_rs="LD_PRELOAD=$pprof_rs PPROF_RS_FREQ=997"
    echo
    echo 'CPU time of g++ at 997 Hz asked, over without:'
    env $(profiled warm 997) "${compile[@]}" # the tables
    [ -z "$perf" ] || others+=(: perf-g perf record -q -g -F 997 -o "$work/perf")
    [ "$libprofiler" = - ] || others+=(: libprofiler $preload_libprofiler)
    [ "$pprof_rs" = - ] || others+=(: pprof-rs $preload_pprof_rs)
    "$pairs" "$(rounds 11)" cpu plain : hpprof $(profiled compiles 997) "${others[@]}" -- "${compile[@]}" | tee "$work/compiles.table"
    ours=$(column "$work/compiles.table" hpprof 6)
    for who in perf-g libprofiler pprof-rs; do
        [ -z "$(column "$work/compiles.table" $who 6)" ] || at_most "hpprof, less than $who" "$ours" "$(column "$work/compiles.table" $who 6)"
    done
    echo "  signals delivered in one compile: hpprof $(signals env $(profiled counted 997) "${compile[@]}")"
    [ "$libprofiler" = - ] || echo "    libprofiler $(signals env $preload_libprofiler "${compile[@]}")"
    [ "$pprof_rs" = - ] || echo "    pprof-rs $(signals env $preload_pprof_rs "${compile[@]}")"
    [ -z "$perf" ] || echo "    perf record -g: $(samples_of_perf -g) samples, without signals"
    rm -rf "$work/counted"
    env $(profiled counted 997) "${compile[@]}"
    echo "    (hpprof's stood for a weight of $(weight counted) samples)"
}

# samples_of_perf OPTION…: of one compile, recorded into $work/perf
samples_of_perf() {
    perf record "$@" -F 997 -o "$work/perf" -- "${compile[@]}" 2>&1 | sed -n 's/.*(\([0-9]*\) samples).*/\1/p'
}

bytes() {
    make_source
    local seconds end samples size dwarf delivered
    seconds=$(awk -v scale="$scale" 'BEGIN { print (scale < 1 ? 60 * scale : 60) }')
    echo
    echo "Bytes on disk a sample, g++ at 997 Hz for $seconds s:"
    end=$(($(date +%s) + ${seconds%.*}))
    while :; do
        env $(profiled bytes 997) "${compile[@]}"
        [ "$(date +%s)" -lt $end ] || break
    done
    samples=$(weight bytes)
    size=$(find "$work/bytes" -name '*.pb' -printf '%s\n' | awk '{ n += $1 } END { print n }')
    size=$(awk -v b="$size" -v n="$samples" 'BEGIN { print b / n }')
    at_most "hpprof, of $samples samples, as weights tell" "$size" 40
    rm -rf "$work/counted"
    delivered=$(signals env $(profiled counted 997) "${compile[@]}")
    [ -z "$delivered" ] || no_bound '(a delivered signal, which may weigh several)' \
        "$(find "$work/counted" -name '*.pb' -printf '%s\n' | awk -v n="$delivered" '{ b += $1 } END { print b / n }')"
    [ -n "$perf" ] || return 0
    samples=$(samples_of_perf --call-graph dwarf)
    dwarf=$(awk -v b="$(stat -c %s "$work/perf")" -v n="$samples" 'BEGIN { print b / n }')
    rm -f "$work/perf"
    no_bound "perf record --call-graph dwarf, of $samples" "$dwarf"
    at_least 'perf / hpprof' "$(awk -v a="$dwarf" -v b="$size" 'BEGIN { print a / b }')" 100
}

memory() {
    local seconds with='' without='' turn
    seconds=$(awk -v scale="$scale" 'BEGIN { print (scale < 0.3 ? 3 : int(10 * scale)) }')
    echo
    echo "Resident memory of a server with 64 threads at 997 Hz, after $seconds s:"
    for turn in 1 2 3; do
        : "$turn"
        without+=" $("$build/bench/sampler_work" server "$seconds")"
        with+=" $(env $(profiled memory 997) "$build/bench/sampler_work" server "$seconds")"
    done
    echo "  KiB without:$without; with:$with"
    at_most 'median difference, MiB' "$(echo "$without $with" | awk '
        function middle(a, b, c) { return a > b ? (b > c ? b : (a > c ? c : a)) : (a > c ? a : (b > c ? c : b)) }
        { print (middle($4, $5, $6) - middle($1, $2, $3)) / 1024 }')" 4
}

starts() {
    local others=()
    echo
    echo 'true, over without:'
    [ "$libprofiler" = - ] || others=(: libprofiler LD_PRELOAD="$libprofiler" CPUPROFILE="$work/cpuprofile")
    "$pairs" "$(rounds 301)" wall plain : empty LD_PRELOAD="$empty" : agent $(profiled starts 99) "${others[@]}" -- true | tee "$work/starts.table"
    at_most 'agent' "$(column "$work/starts.table" agent 6)" 1.3
}

say_machine
echo
shift "$(($# < 2 ? $# : 2))"
[ $# -gt 0 ] || set -- handlers slopes compiles bytes memory starts
for figure; do
    "$figure"
done
rm -rf "$work"
