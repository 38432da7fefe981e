#!/usr/bin/env bats
# System calls that the agent needs fail: the program runs as without the agent, its text is whole, and
# the reason can be read.

load helper

setup() {
    hpprof_setup
    "$PROGRAMS/deny" mremap 12 true || skip "seccomp filters cannot be installed"
}

# denied WHAT ERRNO: text_check sees equal text, and a program that works gives x.pb and comments
denied() {
    "$PROGRAMS/deny" "$1" "$2" env LD_PRELOAD="$AGENT" HPPROF_REMAP=anon HPPROF_OUT="$PWD/text.pb" \
        "$PROGRAMS/text_check" >out 2>text.err
    cat out text.err
    grep -x 'all images=[0-9]* differ=0' out
    grep -x 'writable_executable=0' out
    rm -f x.pb
    : >comments
    "$PROGRAMS/deny" "$1" "$2" env LD_PRELOAD="$AGENT" HPPROF_REMAP=anon HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" \
        "$PROGRAMS/shares_fixed" "${seconds:-0.4}" >work.out 2>err
    cat err
    [ "$(cut -d' ' -f1 work.out | tr '\n' ' ')" = 'alpha_work beta_work gamma_work ' ]
    [ ! -e x.pb ] || profile_comments x.pb | tee comments
}

# stays REASON [ERROR]: nothing was moved, the profile says why, and which error a call gave; and there are samples
stays() {
    huge_pages_on || skip "transparent huge pages are off"
    grep -E '^main .*huge_kib=0 differ=0$' out
    grep -E "^hpprof.left eligible_kib=[0-9]+ reason=.*$1.* image=.*/shares_fixed\$" comments
    hpprof report --json x.pb | jq -r '.remap[] | select(.image | endswith("/shares_fixed")) | .error' >error
    [ "$(cat error)" = "${2-}" ]
    [ -z "${2-}" ] || hpprof report x.pb | grep "^  shares_fixed: .* left: .*$1.* ($2)$"
    lacks comments '^hpprof.remap .*/shares_fixed$'
    has_samples <(profile_folded x.pb) 200
}

@test "mremap fails: the text stays, or is put back" {
    denied mremap 12
    stays 'mremap failed' 'Cannot allocate memory'
}

@test "mprotect to executable fails" {
    denied mprotect-exec 13
    stays 'may not be made executable' 'Permission denied'
}

@test "mmap of the stage fails" {
    denied mmap-4M 12
    stays 'no address space' 'Cannot allocate memory'
}

@test "madvise fails: no huge pages" {
    denied madvise 22
    stays 'MADV_HUGEPAGE' 'Invalid argument'
}

@test "the process may have no huge pages" {
    denied huge-pages 0
    stays 'PR_SET_THP_DISABLE'
}

@test "memory may not become executable (PR_SET_MDWE)" {
    "$PROGRAMS/deny" exec-gain 0 true || skip "the kernel has no PR_SET_MDWE"
    denied exec-gain 0
    stays 'may not be made executable' 'Permission denied'
}

@test "timers cannot be set, or made where nothing else is wanted: no samples, and it says so" {
    denied timer_settime 11
    cat err comments | grep -Ei 'timer|threads=1'
    export HPPROF_TIMER=cpu
    denied timer_create 11
    cat err comments | grep -Ei 'timer|threads=1'
}

@test "timers cannot be made: the interval timer is used, and it says so" {
    local error seconds=1
    for error in 1 11 38; do
        denied timer_create $error
        [ ! -s err ]
        grep "^hpprof.process .* timer=itimer .*limits='at most" comments
        grep "^hpprof.note text='HPPROF_TIMER=auto: .*; one interval timer is used'" comments
        # at half the kernel's ticks at best, unevenly: some 125
        check "$(profile_samples x.pb)" '>=' 20
    done
}

@test "no process for the writer: the profile is written at exit, and it says so" {
    denied clone-vm 11
    cat err comments | grep -E '^hpprof(: |.note )'
    has_samples <(profile_folded x.pb) 200
    # images are known from the start all the same, and so callers by frame pointer
    "$PROGRAMS/deny" clone-vm 11 env LD_PRELOAD="$AGENT" HPPROF_REMAP=off HPPROF_FREQ=997 HPPROF_OUT="$PWD/y.pb" \
        "$PROGRAMS/shares_fixed" 0.4 >out
    profile_folded y.pb | tee folded
    check "$(folded_weight 'main;.*alpha_work$' <folded)" '>=' 50
}

@test "no pipe, no pidfd, no memfd" {
    for call in pipe2 pidfd_open memfd_create; do
        denied "$call" 24
        has_samples <(profile_folded x.pb) 200
    done
}

# limited OPTION VALUE: the same under a limit of the shell
limited() {
    echo "ulimit $1 $2"
    (ulimit "$1" "$2" && agent HPPROF_REMAP=anon HPPROF_OUT="$PWD/x.%p.pb" "$PROGRAMS/text_check") >out 2>err 3>&-
    cat err
    grep -x 'all images=[0-9]* differ=0' out
    (ulimit "$1" "$2" && agent HPPROF_REMAP=anon HPPROF_OUT="$PWD/x.%p.pb" HPPROF_FREQ=997 \
        "$PROGRAMS/threads" named 0.1) >out 2>err 3>&-
    cat err
    grep -x '4 threads returned what they should' out
}

@test "hardly any address space: a profile, or a line that says why there is none" {
    local size
    for size in 4000 6000 8000 12000 20000; do
        (ulimit -v $size && "$PROGRAMS/endings" return 0.02) >plain 2>&1 || continue
        rm -f x.pb
        (ulimit -v $size && exec env LD_PRELOAD="$AGENT" HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" \
            "$PROGRAMS/endings" return 0.2) >out 2>err
        same plain out
        [ -e x.pb ] || grep '^hpprof: no profile: ' err
    done
}

@test "limits: address space, descriptors, pending signals, locked memory" {
    limited -v 60000
    limited -v 100000
    limited -n 5
    limited -i 0
    limited -l 0
}
