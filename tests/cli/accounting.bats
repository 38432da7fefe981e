#!/usr/bin/env bats
# Every CPU-second: what a profile's rows add up to, against what the program itself says that it used (getrusage).
# On a crowded machine samples come late or not at all, and then more is booked: sums hold all the same.

load helper

setup() {
    hpprof_setup
}

# run_it CASE THREADS MS [VARIABLE=VALUE…]: the program under the agent; `used` in ns, the profile x.pb as x.json
run_it() {
    rm -f x.pb
    # ten seconds of CPU time, and the machine may be crowded
    timeout -k 1 300 env LD_PRELOAD="$AGENT" HPPROF_OUT=x.pb "${@:4}" "$PROGRAMS/accounting" "${@:1:3}" >out
    used=$(awk '$1 == "used" { printf "%.0f", $2 * 1e9 }' out)
    hpprof report --json x.pb >x.json
    echo "$*: used $used $(jq -c '.cpu, .total_ns' x.json)"
}

# part NAME: ns of that field of .cpu in x.json
part() { jq ".cpu.$1" x.json; }

# adds_up: all rows within 1 % of what was used, and told as what they are
adds_up() {
    check "$(jq .total_ns x.json)" '>=' "$(awk "BEGIN { print 0.99 * $used }")"
    check "$(jq .total_ns x.json)" '<=' "$(awk "BEGIN { print 1.01 * $used }")"
    jq -e '.cpu | .sampled_ns + .short_lived_ns + .blocked_ns + .unsampled_ns' x.json >sum
    [ "$(cat sum)" -eq "$(jq .total_ns x.json)" ]
    check "$(part total_ns)" '>=' "$(awk "BEGIN { print 0.99 * $used }")"
}

@test "10,000 threads of 1 ms: booked under their start routine" {
    run_it in_turn 10000 1
    adds_up
    profile_folded x.pb | tee folded
    check "$(folded_weight '^run_thread;\[short-lived\]$' <folded)" '>' 0
    check "$(awk "BEGIN { print $(part sampled_ns) + $(part short_lived_ns) }")" '>=' "$(awk "BEGIN { print 0.8 * $used }")"
    check "$(part blocked_ns)" '<' "$((used / 100))"
}

@test "threads with all signals blocked" {
    run_it blocked 8 100
    adds_up
    check "$(part blocked_ns)" '>=' 760000000
    profile_folded x.pb | tee folded
    check "$(folded_weight '^run_blocked;\[signals blocked\]$' <folded)" '>=' 76
    lacks folded 'run_blocked;work'
}

@test "threads of one that has all signals blocked are sampled" {
    run_it born_blocked 8 100 HPPROF_FREQ=997
    adds_up
    profile_folded x.pb | tee folded
    has_samples folded 400 '^run_thread;work_thread$'
}

@test "the program's SIGPROF does not come to a thread that it created with SIGPROF blocked" {
    # a period is less than the 1 % that it may be off
    run_it foreign 20 400 HPPROF_FREQ=997
    grep -x 'taken 20, all by who waits' out
    adds_up
}

@test "a blocked section: its time is booked, not what comes at its end" {
    run_it section 1 500
    adds_up
    check "$(part blocked_ns)" '>=' 400000000
    # 50 periods, and no more than two ticks of them at the call that unblocks
    profile_folded x.pb | tee folded
    check "$(folded_weight 'sigmask' <folded)" '<=' 10
    check "$(folded_weight '^main;\[signals blocked\]$' <folded)" '>=' 40
}

@test "a system call that takes long itself is no blocked section" {
    run_it call 256 200 HPPROF_FREQ=997
    adds_up
    check "$(part blocked_ns)" '<=' "$((used / 20))"
}

@test "forks: the signal that waited is a sample of the program's call, and no blocked section" {
    run_it forks 300 64 HPPROF_FREQ=997
    adds_up
    profile_folded x.pb | tee folded
    check "$(folded_weight '^main;.*fork' <folded)" '>' 0
    lacks folded '^main;.*hpp_' # samples from before the images were known have no caller
    check "$(part blocked_ns)" '<=' "$((used / 20))"
}

@test "killed: what was used by then" {
    agent HPPROF_OUT=x.pb HPPROF_FREQ=997 "$PROGRAMS/endings" kill 0.4 || true
    wait_profiles . 1
    hpprof report --json x.pb >x.json
    used=$(part total_ns)
    check "$used" '>=' 390000000
    adds_up
}

@test "samples alone are within 3 % of it" {
    # on a crowded machine the last ms of a thread may pass between ticks: then another run
    for _ in 1 2 3 4 5 6; do
        run_it main 1 2000
        adds_up
        check "$(part sampled_ns)" '>=' "$(awk "BEGIN { print 0.97 * $used }")" || continue
        check "$(part sampled_ns)" '<=' "$(awk "BEGIN { print 1.03 * $used }")" && return
    done
    return 1
}

@test "a tree of processes: the sum of what all have used" {
    # each of 17 may be told for a period more than it used
    hpprof record -F 997 -o x.pb -- bash -c 'for i in 1 2 3 4 5 6 7 8; do "$0" main 1 100; done' "$PROGRAMS/accounting" >out
    used=$(awk '$1 == "used" { n += $2 * 1e9 } END { printf "%.0f", n }' out)
    hpprof report --json x.pb >x.json
    jq -c .cpu x.json
    check "$(jq .total_ns x.json)" '>=' "$used"
    check "$(jq .total_ns x.json)" '<=' "$(jq '1.001 * .cpu.total_ns + 20000000' x.json)"
    hpprof report x.pb | grep -E '^CPU time used'
}

@test "a chain of programs in one process: no CPU time is told twice" {
    local how used
    for how in record alone; do
        rm -rf x.pb* x.d
        chain=(bash -c 'for ((i = 0; i < 100000; i++)); do :; done; exec bash -c "$0"' \
            "for ((i = 0; i < 100000; i++)); do :; done; exec env '$PROGRAMS/accounting' main 1 300")
        if [ $how = record ]; then
            hpprof record -F 997 -o x.pb -- "${chain[@]}" >out
        else
            agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "${chain[@]}" >out
            for _ in {1..100}; do # writers of the programs before the last one may still be at it
                [ -n "$(grep -La 'hpprof.end ' x.pb x.d/*.pb)" ] || break
                sleep 0.1
            done
            hpprof merge -o all.pb x.pb x.d/*.pb
            mv all.pb x.pb
        fi
        used=$(awk '$1 == "used" { printf "%.0f", $2 * 1e9 }' out)
        hpprof report --json x.pb >x.json
        echo "$how: used $used $(jq -c .cpu x.json)"
        adds_up
    done
}

@test "what tells the next program of a process is not in its environment" {
    agent HPPROF_OUT="$PWD/x.pb" bash -c 'exec env' >out
    grep '^HPPROF_OUT=' out
    lacks out HPPROF_EXEC
}
