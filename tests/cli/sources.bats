#!/usr/bin/env bats
# Where samples come from: CPU timers, perf events, an interval timer; other events; what is said about it.

# shellcheck disable=SC2016 # the shells of the tests expand them

load helper

setup() { hpprof_setup; }

# limits FILE: what the profile says that its source cannot do.
limits() { profile_comments "$1" | sed -n "s/^hpprof.process .* limits='\([^']*\)'.*/\1/p"; }

perf_is_there() { [ "$(process_field timer)" = perf ]; }
process_field() { profile_comments x.pb | sed -n '/^hpprof.process /p' | comment_field "$1"; }

# sampled TIMER HZ [VARIABLE=VALUE…] PROGRAM ARGUMENT…
sampled() {
    local timer=$1 hz=$2
    shift 2
    rm -rf x.pb x.d
    agent HPPROF_OUT="$PWD/x.pb" HPPROF_TIMER="$timer" HPPROF_FREQ="$hz" "$@"
}

@test "auto is a CPU timer for each thread, and says what it cannot do above the kernel's tick" {
    sampled auto 99 "$PROGRAMS/threads" named 0.2
    [ "$(process_field timer)" = cpu ]
    [ -z "$(limits x.pb)" ]
    hpprof report x.pb >out
    lacks out '^Timer'
    sampled cpu 9973 "$PROGRAMS/threads" named 0.2
    [[ "$(limits x.pb)" =~ ^at\ most\ [0-9]+\ signals\ a\ second ]]
    hpprof report x.pb >out
    grep -q '^Timer: cpu, at most [0-9]* signals' out
}

@test "perf: each thread's CPU time, at rates above the kernel's tick" {
    sampled perf 4999 HPPROF_MAX_CPU=100 "$PROGRAMS/threads" named 0.4
    perf_is_there || skip "no perf events"
    # a sample of its own for each signal: no weights
    [ "$(profile_message x.pb | grep -c '^sample {')" -gt 4 ]
    # of a thread's time more is the kernel's on a crowded machine; what is counted is sampled
    counted=$(profile_comments x.pb | sed -n '/^hpprof.perf /p' | comment_field counted)
    check "$counted" '>=' 1300000000
    check "$counted" '<=' 1700000000
    check "$(profile_samples x.pb)" '>=' $((counted / 1000000 * 4999 * 9 / 10000))
    check "$(profile_samples x.pb)" '<=' $((counted / 1000000 * 4999 * 102 / 100000))
    profile_folded x.pb >folded
    share_is folded work_reader 20 30 true
    hpprof report x.pb >out
    grep -q '^Timer: perf, what happens in the kernel is not sampled' out
}

@test "perf: the program has no descriptor of ours" {
    sampled perf 4999 bash -c 'for ((i = 0; i < 100000; i++)); do :; done; for fd in /proc/$$/fd/*; do readlink "$fd"; done; true' >out
    perf_is_there || skip "no perf events"
    [ -s out ]
    lacks out perf
}

@test "perf: fewer descriptors than threads: CPU timers stand in, and the profile is there" {
    (ulimit -n 24 && sampled perf 997 "$PROGRAMS/accounting" at_once 40 50 >out) 3>&-
    perf_is_there || skip "no perf events"
    has_samples <(profile_folded x.pb) 1000
    hpprof report x.pb >out
    grep -x 'Note: perf gave no event for some threads: CPU timers stand in for them' out
    # but for signals that come when their thread has ended
    hpprof report --json x.pb | jq -e '.lost | [del(.stale)[]] | add == 0'
}

@test "perf: no call of the program's is interrupted" {
    sampled perf 10000 HPPROF_MAX_CPU=100 "$PROGRAMS/worst_moments" waits >out
    perf_is_there || skip "no perf events"
    [ "$(cat out)" = "0 calls interrupted" ]
    has_samples <(profile_folded x.pb) 1000
}

@test "no signal meets a program that is executed under a fast timer" {
    local timer
    for timer in perf cpu itimer; do
        sampled $timer 10000 HPPROF_MAX_CPU=100 "$PROGRAMS/worst_moments" execs >out
        [ "$(cat out)" = "0 bad endings" ] || { echo "$timer: $(cat out)"; return 1; }
    done
}

@test "itimer: one timer for all threads, at half the kernel's ticks at most" {
    sampled itimer 997 "$PROGRAMS/threads" named 0.5
    [ "$(process_field timer)" = itimer ]
    [[ "$(limits x.pb)" =~ ^at\ most\ [0-9]+\ samples ]]
    # the kernel counts whole ticks for it: on a crowded processor that is far from true
    check "$(profile_samples x.pb)" '>=' 50
}

@test "itimer: the program neither sees our timer nor shares it" {
    local case
    for case in handler timer time_limit; do
        "$PROGRAMS/signals" $case 0.2 >plain 2>err && status=0 || status=$?
        sampled itimer 997 "$PROGRAMS/signals" $case 0.5 >out 2>err && [ $status = 0 ] || [ $? = $status ]
        same plain out
        hpprof report x.pb >report
        grep -x 'Note: the program uses ITIMER_PROF itself: no samples since' report
        check "$(profile_samples x.pb)" '>=' 10 $case
    done
}

@test "page faults: a sample type and a unit of their own" {
    # into a file of its own: the writers of programs that executed others may be a moment behind
    agent HPPROF_OUT="$PWD/execs.pb" HPPROF_FREQ=99 HPPROF_EVENT=page-faults "$PROGRAMS/worst_moments" execs >/dev/null
    sampled auto 99 HPPROF_EVENT=page-faults bash -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); echo ${#x}'
    perf_is_there || skip "no perf events"
    profile_message x.pb >message
    grep -x 'string_table: "page-faults"' message
    grep -x 'period: 16' message
    [ "$(process_field event)" = page-faults ]
    check "$(profile_samples x.pb)" '>=' 100
    hpprof report x.pb >out
    sed -n 2p out | grep ' samples, [0-9]* page-faults$'
    lacks out 'CPU'
    hpprof report --json x.pb | grep -q '"event":"page-faults"'
    hpprof flamegraph -o x.svg x.pb
    grep -q '<title>.*, [0-9]* page-faults, 100.00%)' x.svg
}

@test "an event that this machine has not got is said in one line, and CPU time is sampled" {
    sampled auto 997 HPPROF_EVENT=context-switches "$PROGRAMS/endings" return 0.3 2>err || true
    [ "$(wc -l <err)" -eq 1 ]
    grep -q '^hpprof: HPPROF_EVENT=context-switches: they happen in the kernel' err
    [ "$(process_field event)" = cpu ]
    hpprof report x.pb >out
    grep -q '^Note: HPPROF_EVENT=context-switches: ' out
    # what the machine counts is its own matter: samples, or one line
    sampled auto 997 HPPROF_EVENT=cycles "$PROGRAMS/endings" return 0.3 2>err || true
    if [ "$(process_field event)" = cycles ]; then
        [ ! -s err ]
    else
        grep -q '^hpprof: HPPROF_EVENT=cycles: ' err
    fi
    check "$(profile_samples x.pb)" '>=' 50
}

# thread_ns NAME: the CPU time in samples of threads with that name.
thread_ns() {
    hpprof report --json --by thread -n 0 x.pb | sed -n "s/.*\"name\":\"$1 ([0-9]*)\".*\"cum_ns\":\([0-9]*\).*/\1/p" |
        awk '{ n += $1 } END { print n + 0 }'
}

@test "threads made by a raw clone are sampled, with storage of their own or without" {
    local tls name
    for tls in tls none; do
        sampled cpu 997 "$PROGRAMS/raw_threads" $tls 1 >out
        [ "$(cat out)" = "raw threads ended" ]
        for name in raw-one raw-two raw-three; do
            check "$(thread_ns $name)" '>=' 500000000 "$tls $name"
            check "$(thread_ns $name)" '<=' 1050000000 "$tls $name"
        done
        profile_folded x.pb >folded
        check "$(folded_share 'raw_root;work_raw' <folded)" '>=' 70
    done
}

@test "threads made by a raw clone get their timers by the way where another thread is sampled" {
    sampled cpu 997 "$PROGRAMS/raw_threads" none 1 busy
    check "$(thread_ns raw-one)" '>=' 500000000
    check "$(thread_ns raw-two)" '>=' 500000000
}

@test "perf: threads made by a raw clone too" {
    sampled perf 997 "$PROGRAMS/raw_threads" none 1
    perf_is_there || skip "no perf events"
    check "$(thread_ns raw-one)" '>=' 700000000
    check "$(thread_ns raw-three)" '>=' 700000000
}

@test "threads older than the agent are sampled" {
    local how
    for how in main thread; do
        rm -f x.pb
        HPPROF_FREQ=997 HPPROF_OUT=$PWD/x.pb timeout 60 "$PROGRAMS/older_threads" "$AGENT" $how 1 >out
        [ "$(cat out)" = "done" ]
        check "$(thread_ns older)" '>=' 1000000000 $how
        check "$(thread_ns older)" '<=' 2100000000 $how
    done
}

@test "over its budget the rate is lowered, and the weights stay right" {
    sampled perf 10000 HPPROF_MAX_CPU=1 "$PROGRAMS/threads" named 1
    perf_is_there || skip "no perf events"
    profile_comments x.pb | sed -n '/^hpprof.rate /p' >rates
    cat rates
    [ "$(sed -n 1p rates | comment_field multiplier)" = 2 ]
    check "$(profile_samples x.pb)" '>=' 36000
    check "$(profile_samples x.pb)" '<=' 41000
    hpprof report x.pb >out
    grep -q '^Rate lowered to as little as 1/[0-9]*, ' out
}

@test "within its budget, or without one, the rate stays" {
    sampled perf 10000 HPPROF_MAX_CPU=0 "$PROGRAMS/threads" named 0.5
    ! profile_comments x.pb | grep '^hpprof.rate ' || return 1
    sampled cpu 99 "$PROGRAMS/threads" named 0.5
    ! profile_comments x.pb | grep '^hpprof.rate ' || return 1
}

@test "a handler that is replaced by the raw system call is noticed, said, and left alone" {
    local how timer
    for timer in cpu perf; do
        for how in alone thread; do
            sampled $timer 997 "$PROGRAMS/raw_handler" $how 0.4 >out
            head -1 out | grep -x 'its own handler stands: 1'
            [ $how = alone ] || tail -1 out | grep -x 'signals in it: none'
            hpprof report x.pb >report
            grep '^Note: the program has replaced the handler of SIGPROF' report
            profile_folded x.pb >folded
            has_samples folded 300 work_before
            check "$(folded_weight work_after <folded)" '==' 0
        done
    done
}
