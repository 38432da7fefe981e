#!/usr/bin/env bats
# The pool of rings (HPPROF_MEMORY): many threads, and a writer that does not come.

load helper

setup() { hpprof_setup; }

# sum FIELD KIND FILE: of that field over all comments KIND
sum() { profile_comments "$3" | grep "^$2 " | comment_field "$1" | awk '{ n += $1 } END { printf "%.0f\n", n }'; }

@test "ten thousand threads, one after the other: no growth" {
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/many_threads" one_by_one 10000 >out
    cat out
    grep -x 'threads: 10000' out
    check "$(sed -n 's/^growth: //p' out)" '<=' 1024
    check "$(sed -n 's/^mappings: //p' out)" '<=' 12
    profile_folded x.pb | grep -c 'short_thread'
}

@test "ten thousand threads at once, in the least memory: each is sampled or counted" {
    local most
    most=$(cat "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/pids.max" 2>/dev/null || echo max)
    [ "$most" = max ] || [ "$most" -gt 12000 ] || skip "no 10,000 threads are allowed here"
    agent HPPROF_FREQ=997 HPPROF_MEMORY=256K HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/many_threads" at_once 10000 >out
    grep -x 'threads: 10000' out
    [ "$(sum threads hpprof.lost x.pb)" -eq 0 ]
    profile_folded x.pb | grep -c 'waiting_thread'
}

# stopped SECONDS CALLS: a program that works that many calls deep, whose writer is stopped for so long
stopped() {
    mkfifo input
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/many_threads" deep "$2" <input >out 3>&- &
    program=$!
    exec 9>input
    for _ in {1..600}; do
        [ ! -s x.pb ] || break
        sleep 0.05
    done
    for writer in $(find /proc/[0-9]*/fd -lname "$PWD/x.pb" 2>/dev/null | cut -d/ -f3); do
        grep -qx hpprof-writer "/proc/$writer/comm" && break
    done
    kill -STOP "$writer"
    sleep "$1"
    kill -CONT "$writer"
    sleep 1
    exec 9>&-
    wait "$program"
    used=$(sed -n 's/^used: //p' out)
    period=$(profile_message x.pb | sed -n 's/^period: //p')
    dropped=$(sum dropped hpprof.lost x.pb)
    sampled=$(($(sum sampled_ns hpprof.cpu x.pb) / 1000000))
    echo "period $period, dropped $dropped, sampled $sampled ms of $used"
    # what is there, and what is counted as lost, is what was used
    check $((sampled + dropped * period / 1000000)) '>=' $((used * 97 / 100 - 50))
    check $((sampled + dropped * period / 1000000)) '<=' $((used * 103 / 100 + 50))
}

@test "a writer that is stopped for ten seconds: what the rings cannot hold is lost, and counted" {
    stopped 10 100
    check "$dropped" '>' 0
    # a ring of 64 KiB holds 79 stacks of a hundred frames, each for a tick or more
    check "$sampled" '>=' 79
}

@test "a writer that is stopped for a moment: nothing is lost" {
    stopped 0.3 3
    [ "$dropped" -eq 0 ]
}

@test "HPPROF_MEMORY: a bad value gets one clear line" {
    agent HPPROF_MEMORY=1K "$PROGRAMS/many_threads" deep 0 2>err </dev/null
    [ "$(wc -l <err)" -eq 1 ]
    grep -F 'HPPROF_MEMORY=1K is not allowed: use a number in 256K..1G bytes (K, M, G); continuing with 4M' err
}
