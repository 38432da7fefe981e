#!/usr/bin/env bats
# A table of programs: output and exit status as without the agent, processes and profiles as many as
# expected, and what each did in its samples.

load helper

setup() {
    hpprof_setup
    mkdir profiles
}

# plain_and_agent PROGRAM CASE: runs it both ways; stdout, stderr and status must be the same. What it
# prints does not depend on how long it works.
plain_and_agent() {
    local status=0
    timeout -k 1 100 "$PROGRAMS/$1" "$2" 0.02 >plain.out 2>plain.err || status=$?
    echo "$status" >plain.status
    status=0
    timeout -k 1 100 env LD_PRELOAD="$AGENT" HPPROF_OUT="$PWD/profiles/%e.%p.pb" HPPROF_FREQ=997 \
        "$PROGRAMS/$1" "$2" 0.4 >out 2>err || status=$?
    echo "$status" >status
    same plain.status status
    same plain.out out
    same plain.err err
}

# behaves 'PROGRAM CASE' PROCESSES PROFILES FUNCTION…: and each function has at least half of the samples of
# 0.4 s (399), but for those that the profiles say they lack
behaves() {
    local function functions="${*:4}"
    # shellcheck disable=SC2086
    plain_and_agent $1
    wait_profiles profiles "$3" "${functions// /|}"
    find profiles -name '*.pb' | while read -r file; do
        profile_comments "$file" | sed -n 's/^hpprof.process .*pid=\([0-9]*\).*/\1/p' >>pids
        profile_folded "$file" >>folded
    done
    [ "$(sort -u pids | wc -l)" -eq "$2" ] || { echo "expected $2 processes: $(cat pids)"; return 1; }
    cat folded
    for function in "${@:4}"; do
        has_samples folded 200 "(^|;)$function\$"
    done
}

@test "fork" { behaves 'processes fork' 2 2 burn_parent burn_child; }
@test "exec" { behaves 'processes exec' 1 2 burn_parent burn_child; }
@test "vfork" { behaves 'processes vfork' 2 2 burn_parent burn_child; }
@test "posix_spawn" { behaves 'processes spawn' 2 2 burn_parent burn_child; }
@test "system" { behaves 'processes system' 2 2 burn_parent burn_child; }
@test "popen" { behaves 'processes popen' 2 2 burn_parent burn_child; }
@test "a daemon by two forks" { behaves 'processes daemon' 2 2 burn_parent burn_child; }
@test "waits for all children" { behaves 'processes waitall' 4 4 burn_parent burn_child; }
@test "waits for all children, also those without a signal" { behaves 'processes waitall_wall' 4 4 burn_parent burn_child; }
@test "unshare(CLONE_NEWUSER)" { behaves 'processes unshare' 1 1 burn_parent burn_child; }
@test "a pid namespace" { behaves 'processes pid_namespace' 2 2 burn_parent burn_child; }
@test "fork, vfork and posix_spawn in threads" { behaves 'processes threads' 4 4 burn_parent burn_child; }
@test "setuid" { behaves 'processes setuid' 1 1 burn_parent burn_child; }

@test "returns from main" { behaves 'endings return' 1 1 burn_main; }
@test "_exit" { behaves 'endings exit_now' 1 1 burn_main; }
@test "quick_exit" { behaves 'endings quick_exit' 1 1 burn_main; }
@test "works in an atexit function" { behaves 'endings atexit' 1 1 burn_main burn_at_exit; }
@test "SIGKILL" { behaves 'endings kill' 1 1 burn_main; }
@test "SIGTERM" { behaves 'endings term' 1 1 burn_main; }
@test "SIGSEGV" { behaves 'endings segv' 1 1 burn_main; }
@test "SIGSEGV that it catches" { behaves 'endings caught_segv' 1 1 burn_main; }
@test "abort" { behaves 'endings abort' 1 1 burn_main; }
@test "SIGILL" { behaves 'endings trap' 1 1 burn_main; }
@test "a strict seccomp sandbox, left by the exit call alone" { behaves 'endings strict' 1 1 burn_main work_in_sandbox; }
@test "a seccomp filter that ends the process for any other call" { behaves 'endings filter' 1 1 burn_main work_in_sandbox; }
@test "the same on a stack of its own" { behaves 'endings filter_coroutine' 1 1 burn_main work_in_sandbox; }
@test "a seccomp filter by syscall, for all threads, which end" {
    behaves 'raw_calls filter' 1 1 work_in_sandbox
    has_samples folded 600 '(^|;)thread_root;work_in_sandbox$'
}
@test "a seccomp filter by syscall while threads begin" { behaves 'raw_calls filter_soon' 1 1 work_in_sandbox; }
@test "a seccomp filter by syscall, and exit" { behaves 'raw_calls filter_exit' 1 1 work; }
@test "main ends by pthread_exit, a thread ends the process" { behaves 'endings main_thread_first' 1 1 burn_main burn_thread; }
@test "main ends by pthread_exit, the last thread returns" { behaves 'endings last_thread' 1 1 burn_main burn_thread; }

@test "each profile says how its process ended" {
    local case
    for case in 'processes exec=exec exit' 'endings return=exit' 'endings exit_now=died' 'endings kill=died' \
        'endings segv=died' 'processes fork=exit exit' 'processes vfork=exit exit'; do
        rm -rf profiles/*
        # shellcheck disable=SC2086
        plain_and_agent ${case%=*}
        wait_profiles profiles "$(wc -w <<<"${case#*=}")"
        while read -r file; do
            has_samples <(profile_folded "$file") 200
            profile_comments "$file" | sed -n 's/^hpprof.end cause=//p' >>"causes.${case%=*}"
        done < <(find profiles -name '*.pb')
        sort "causes.${case%=*}" | tr '\n' ' ' >causes
        [ "$(cat causes)" = "${case#*=} " ] || { echo "$case: $(cat causes)"; return 1; }
    done
}

@test "threads with names" {
    behaves 'threads named' 1 1 work_reader work_writer work_cleaner work_keeper
    profile_message "$(find profiles -name '*.pb')" >message
    for name in reader writer cleaner keeper; do
        grep "^string_table: \"$name\"" message
    done
    [ "$(profile_labels tid <message | sort -u | wc -l)" -ge 4 ]
}
@test "short threads" {
    behaves 'threads short' 1 1 work_reader
    has_samples folded 800 'work_reader$'
}
@test "threads of threads" { behaves 'threads nested' 1 1 work_writer work_cleaner; }
@test "threads on the smallest of stacks" { behaves 'threads smallest' 1 1 work_reader work_writer work_cleaner work_keeper; }
# ends HOW: work in all that runs at a thread's end, where the start routine's frame is gone: below libc's own
ends() {
    behaves "thread_ends $1" 1 1 'work_thread.*' 'work_in_cleanup.*' 'work_in_object.*' 'work_in_key.*'
    for function in work_in_object work_in_key; do
        has_samples folded 200 "^[^[].*;$function"
    done
}

@test "a thread's cleanup and destructors work" { ends returns; }
@test "the same of one that is cancelled where it allows it" { ends cancelled; }
@test "the same of one that is cancelled wherever it is" { ends cancelled_anywhere; }
@test "threads that still run at the end, on small stacks" { behaves 'threads detached' 1 1 work_keeper; }

@test "counts its descriptors" { behaves 'descriptors list' 1 1 work; }
@test "closes every descriptor and opens its own" { behaves 'descriptors daemon' 1 1 work; }
@test "closes even the standard three" { behaves 'descriptors all' 1 1 work; }
@test "100 descriptors at most, work on a stack of its own: the lowest number stays its own" {
    ulimit -n 100
    behaves 'descriptors coroutine' 1 1 work
}
@test "no system call is interrupted" { behaves 'descriptors syscalls' 1 1 'run_syscalls(;.*)?'; }

@test "has a SIGPROF handler and an ITIMER_PROF of its own" { behaves 'signals handler' 1 1 work; }
@test "asks for SIGPROF's disposition, then sets the default" { behaves 'signals default' 1 1 work; }
@test "ignores SIGPROF" { behaves 'signals ignored' 1 1 work; }
@test "ignores SIGPROF, and so does what it executes" { behaves 'signals exec_ignored' 1 1 work; }
@test "sigset" { behaves 'signals sigset' 1 1 work; }
@test "__sigaction" { behaves 'signals __sigaction' 1 1 work; }
@test "sigignore" { behaves 'signals sigignore' 1 1 work; }
@test "siginterrupt" { behaves 'signals siginterrupt' 1 1 work; }
@test "a SIGPROF handler by syscall" { behaves 'raw_calls handler' 1 1 work; }
@test "results and errors of syscall" { behaves 'raw_calls calls' 1 1 work; }
@test "blocks all signals" { behaves 'signals blocked' 1 1 work; }
@test "sigwait" { behaves 'signals sigwait' 1 1 work; }
@test "sigtimedwait, sigwaitinfo and sigwait for all signals do not see ours, and what they hid is told" {
    behaves 'signals sigwait_all' 1 1 work
    check "$(folded_weight '\[signals blocked\]$' <folded)" '>=' 600
    # nothing is told twice of 1.6 s
    check "$(profile_told "$(find profiles -name '*.pb')")" '<=' 1750
}
@test "a signalfd for all signals does not see ours" { behaves 'signals signalfd' 1 1 work; }
@test "a signal stack" { behaves 'signals altstack' 1 1 work; }
@test "a signal stack too small for more than one signal" { behaves 'signals small_altstack' 1 1 work; }
@test "handlers that work on a signal stack with no room for ours: that time is counted when they return" {
    behaves 'signals tight_altstack' 1 1 work
    check "$(profile_told "$(find profiles -name '*.pb')")" '>=' 450
}
@test "errno stays" { behaves 'signals errno' 1 1 run_errno; }

# on_stack CASE ROOT: samples of the work on that stack, below ROOT, in both validations
on_stack() {
    for how in auto pipe; do
        export HPPROF_VALIDATE=$how
        rm -rf profiles/* folded pids
        behaves "stacks $1" 1 1 work_main
        has_samples folded 200 "$2"
    done
}

@test "a handler that works on the signal stack" { on_stack altstack 'work_inside$'; }
@test "coroutines whose stacks go away" { on_stack coroutine '(coroutine|\[unfinished\]);work_inside$'; }
@test "a thread on a stack given to it" { on_stack given '(^|;)thread_root;work_inside$'; }
@test "stacks deeper than what is recorded" { on_stack deep '^(main;run_deep;(descend;)+)?\[truncated\];(descend;)+work_inside$'; }
@test "a stack of several MiB" { on_stack wide '(^|;)main;run_wide;work_inside$'; }
@test "stacks overflow, and the program goes on" { behaves 'stacks overflow' 1 1 work_main work_inside; }
@test "code without a file" { on_stack jit '(^|;)(main;run_jit;)?[^;]*(anon|unknown|0x)[^;]*$'; }
@test "code without a file that grows" {
    behaves 'stacks jit_grows' 1 1 work_main
    # code that is newer than the writer's last look at the map is not known to be anything
    has_samples folded 600 '(^|;)\[(anon|unknown)\]$'
    check "$(folded_weight ';\[anon\]$' <folded)" '>' 0
}

@test "a library loaded later, in samples by name" { behaves 'late run' 1 1 work_before plugin_work work_after; }
@test "libraries loaded in turns where the other was" {
    behaves 'late swap' 1 1 plugin_work plugin_two
    again() { rm -r profiles/* pids && behaves 'late swap' 1 1 plugin_work plugin_two; }
    share_is folded '(^|;)plugin_two$' 40 60 again
}

@test "loads objects one after the other, beside others on its processor: what is sampled in them has their names" {
    local i cpu hogs=()
    cpu=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
    for i in {1..20}; do
        cp "$PROGRAMS/late_plugin" "late_plugin.$i"
    done
    for i in 1 2; do
        timeout 60 taskset -c "$cpu" sh -c 'while :; do :; done' 3>&- &
        hogs+=($!)
    done
    taskset -c "$cpu" timeout -k 1 50 env LD_PRELOAD="$AGENT" HPPROF_FREQ=249 HPPROF_OUT="$PWD/many.pb" \
        "$PROGRAMS/late" many 20 0.06 || status=$?
    kill "${hogs[@]}"
    [ -z "${status-}" ]
    profile_folded many.pb >folded
    cat folded
    has_samples folded 150 '(^|;)plugin_work$'
    # a look now and then would miss the first moments of each
    check "$(folded_weight '(^|;)\[unknown\]$' <folded)" '<=' 3
}
