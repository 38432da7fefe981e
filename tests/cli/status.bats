#!/usr/bin/env bats
# hpprof status: the profiling of a process that runs.

load helper
load profiles
load backends

setup() { hpprof_setup; }

# moves VARIABLE=VALUE… COMMAND…: runs it with the agent, in $process; returns when it has told of text that it moved. As
# agent it draws no addresses where UNDRAWN is set.
moves() {
    rm -f x.pb
    ${UNDRAWN:+setarch -R} env HPPROF_FREQ=997 LD_PRELOAD="$AGENT" HPPROF_OUT="$PWD/x.pb" "$@" >out 3>&- &
    process=$!
    for _ in {1..600}; do
        ! grep -qa 'hpprof.remap ' x.pb 2>/dev/null || break
        sleep 0.05
    done
}

# runs VARIABLE=VALUE…: a profiled process for as long as a minute, in $process; returns when it has a file.
runs() {
    agent "$@" HPPROF_OUT="$PWD/short.pb" sleep 0 # the variables are good ones; even this may get a sample
    env "$@" LD_PRELOAD="$AGENT" HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" return 60 >out 3>&- &
    process=$!
    for _ in {1..600}; do
        [ ! -s x.pb ] || break
        sleep 0.05
    done
    [ -s x.pb ]
}

teardown() {
    backends_release
    [ -z "${process-}" ] || kill -KILL "$process" 2>/dev/null || true
}

@test "the timer and its limits, what has samples, what was lost" {
    runs HPPROF_FREQ=997
    hpprof status "$process" >status
    grep -F "$PWD/x.pb: endings (pid $process)" status
    grep -E '^[0-9.]+ s, 997 Hz, [0-9,]+ samples, [0-9.]+ CPU-seconds$' status
    grep -E '^Timer: cpu, at most [0-9]+ signals a second and thread' status
    grep -E '^ +[0-9.]+ s +[0-9.]+%  sampled$' status
    grep -x 'Nothing lost.' status
    awk 'length($0) > 80 && !/x\.pb:/ { print "too long: " $0; long = 1 } END { exit long }' status
}

# named BACKEND: status and perf-map of a process whose text it moved
named() {
    huge_pages_on || skip "transparent huge pages are off"
    ready "$1" "$PROGRAMS/shares_fixed_exec"
    moves ./program 60
    hpprof status "$process" | tee status
    grep -E "^  program: 2.0 of 2.0 MiB, $1, " status
    hpprof perf-map "$process" -o map
    for name in alpha_work beta_work gamma_work; do
        grep -E "^[0-9a-f]+ [0-9a-f]+ $name$" map
    done
}
@test "text that was moved has its names, by anon: status, perf-map" { named anon; }
@test "text that was moved has its names, by memfd: status, perf-map" { named memfd; }
@test "text that was moved has its names, by hugetlb: status, perf-map" { named hugetlb; }
@test "text that was moved has its names, by cache: status, perf-map" { named cache; }

@test "text on huge pages of its file: status" {
    huge_pages_on || skip "transparent huge pages are off"
    ready file "$PROGRAMS/moved"
    moves HPPROF_REMAP_WHEN=start ./program work 60
    hpprof status "$process" | tee status
    ! grep -a "reason='its file system gave no huge pages'" x.pb || skip 'no large folios on this file system'
    grep -E '^  program: ([1-9][0-9.]*) of \1 MiB, file, ' status
}

@test "a process that is not there: perf-map" { fails 1 "hpprof: cannot read 4194304x" hpprof perf-map 4194304x; }

@test "data that came along with text, and is executable since" {
    huge_pages_on || skip "transparent huge pages are off"
    UNDRAWN=1 moves HPPROF_REMAP=anon HPPROF_REMAP_EDGES=absorb "$PROGRAMS/edge_text" 60
    hpprof status "$process" | tee status
    grep -E '^  edge_text: with [0-9.]+ MiB beside its text, of which [0-9]+\.[0-9] MiB are data, executable now$' status
}

@test "a timer without limits" {
    runs HPPROF_FREQ=99
    hpprof status "$process" | grep -x 'Timer: cpu.'
}

@test "the interval timer" {
    runs HPPROF_TIMER=itimer
    hpprof status "$process" | grep 'Timer: itimer, at most [0-9]* samples a second, unevenly spread'
}

@test "a process that has no samples yet" {
    env LD_PRELOAD="$AGENT" HPPROF_OUT="$PWD/x.pb" sleep 60 3>&- &
    process=$!
    for _ in {1..100}; do
        ! hpprof status "$process" >status 2>err || break
        sleep 0.05
    done
    [ "$(cat status)" = "process $process is profiled; it has no samples yet, and so no file" ]
}

@test "a process that is not profiled, a thread, none" {
    "$PROGRAMS/endings" return 60 >out 3>&- &
    process=$!
    fails 1 "hpprof: process $process has no hpprof-writer" hpprof status "$process"
    fails 1 'hpprof: there is no process 4194303' hpprof status 4194303
    fails 2 "hpprof: status: 'x' is no process id" hpprof status x
    fails 2 "hpprof: status: '0' is no process id" hpprof status 0
}
