#!/usr/bin/env bats
# What switches profiling off and on, and how often it is put on disk.

load helper

setup() { hpprof_setup; }

@test "the kill switch: nothing is profiled, nothing is moved, one system call asks for it" {
    : >off
    status=0
    agent HPPROF_OFF_FILE="$PWD/off" HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" strace -f -o calls \
        "$PROGRAMS/text_check" >out 2>err || status=$?
    [ "$status" -eq 0 ]
    [ ! -s err ]
    [ ! -e x.pb ]
    grep -E '^main .*huge_kib=0 differ=0$' out
    [ "$(grep -c "$PWD/off" calls)" -eq 1 ]
    # what comes after it is the program's own: nothing of what sampling or moving begins with
    sed -n "\\,$PWD/off,,\$p" calls >after
    lacks after 'timer_create|mremap|clone|SIGPROF|SIGEV_THREAD_ID'
}

@test "the kill switch: threads, signals and forks of the program are its own" {
    : >off
    for program in 'threads named 0.1' 'processes fork 0.1' 'signals handler 0.1'; do
        # shellcheck disable=SC2086 # words
        set -- $program
        status=0 expected=0
        "$PROGRAMS/$1" "${@:2}" >expected.out 2>&1 || expected=$?
        agent HPPROF_OFF_FILE="$PWD/off" HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/$1" "${@:2}" >out 2>&1 || status=$?
        [ "$status" -eq "$expected" ]
    done
    [ ! -e x.pb ]
    [ ! -e x.d ]
}

@test "the kill switch: other options are not looked at, and without the file all is as ever" {
    : >off
    agent HPPROF_OFF_FILE="$PWD/off" HPPROF_FREQ=nonsense "$PROGRAMS/endings" return 0.1 2>err || true
    [ ! -s err ]
    rm off
    agent HPPROF_OFF_FILE="$PWD/off" HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" return 0.4 || true
    check "$(profile_told x.pb)" '>=' 200
}

@test "the kill switch: hpprof record runs the command and says why there is no profile" {
    : >off
    HPPROF_OFF_FILE=$PWD/off hpprof record -o x.pb -- "$PROGRAMS/endings" return 0.1 2>err || true
    cat err
    grep -F "$PWD/off exists" err
    [ ! -e x.pb ]
}
