#!/usr/bin/env bats
# perf sees through the remap with the map that `hpprof perf-map` writes, and not without.

load helper

setup() {
    hpprof_setup
    perf record -N -e cpu-clock -o probe.data -- true >probe 2>&1 || skip "perf cannot run: $(head -1 probe)"
    huge_pages_on || skip "transparent huge pages are off"
}

teardown() {
    [ -z "${pid-}" ] || kill "$pid" || true
    [ -z "${pid-}" ] || rm -f "/tmp/perf-$pid.map"
}

names() { perf report -i perf.data --stdio -g none --sort symbol 2>/dev/null; }

@test "perf record -p PID of a remapped program: names with hpprof perf-map, none without" {
    HPPROF_REMAP=anon HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" LD_PRELOAD="$AGENT" "$PROGRAMS/shares_fixed" 120 >out 3>&- &
    pid=$!
    for _ in {1..100}; do # until its writer has put down what it has moved
        grep -qa 'hpprof.remap ' x.pb 2>/dev/null && break
        sleep 0.1
    done
    grep -qa 'hpprof.remap ' x.pb
    perf record -N -e cpu-clock -F 500 -g -p "$pid" -o perf.data -- sleep 1.5
    rm -f "/tmp/perf-$pid.map"
    names >without
    lacks without '(alpha|beta|gamma)_work'
    hpprof perf-map x.pb
    names >with
    grep alpha_work with
    grep beta_work with
    grep gamma_work with
    check "$(awk '/ alpha_work/ { print $2 + 0; exit }' with)" '>=' 45
}
