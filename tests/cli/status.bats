#!/usr/bin/env bats
# hpprof status: the profiling of a process that runs.

load helper
load profiles

setup() { hpprof_setup; }

# runs VARIABLE=VALUE…: a profiled process for as long as a minute, in $process; returns when it has a file.
runs() {
    agent "$@" HPPROF_OUT="$PWD/x.pb" sleep 0 # the variables are good ones
    env "$@" LD_PRELOAD="$AGENT" HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" return 60 >out 3>&- &
    process=$!
    for _ in {1..600}; do
        [ ! -s x.pb ] || break
        sleep 0.05
    done
    [ -s x.pb ]
}

teardown() { [ -z "${process-}" ] || kill -KILL "$process" 2>/dev/null || true; }

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
