#!/usr/bin/env bats
# The agent where it is not expected, or where what it wants is not to be had: the program runs as
# without it.

load helper

setup() { hpprof_setup; }

# samples_of FUNCTION FILE: at least half of those of 0.3 s at 997 Hz
samples_of() {
    profile_folded "$2" >folded
    cat folded
    has_samples folded 150 "(^|;)$1\$"
}

@test "the agent is loaded by dlopen, found there by dlsym, closed by dlclose" {
    local how
    for how in symbol close; do
        HPPROF_FREQ=997 HPPROF_OUT=$PWD/$how.pb timeout 60 "$PROGRAMS/opens_agent" "$AGENT" $how >out
        [ "$(tail -1 out)" = "done" ]
        samples_of work_main $how.pb
        samples_of work_after $how.pb
    done
    [ "$(head -1 out)" = "dlclose 0" ]
    samples_of work_thread symbol.pb
}

@test "loaded twice from two paths: one of them samples" {
    local preload
    cp "$AGENT" copy.so
    for preload in "$AGENT:$PWD/copy.so" "$PWD/copy.so:$AGENT"; do
        HPPROF_FREQ=997 HPPROF_OUT=$PWD/twice.pb LD_PRELOAD=$preload "$PROGRAMS/shares_fixed" 0.6 >out
        has_samples <(profile_folded twice.pb) 300
        check "$(profile_told twice.pb)" '<=' 900
    done
}

# lowest COMMAND…: the lowest number that five runs print: whether a thread gets a heap is partly chance
lowest() {
    local _
    for _ in 1 2 3 4 5; do "$@"; done | sort -n | head -1
}
@test "eight threads get no address space for a malloc that they do not need" {
    local plain with
    plain=$(lowest "$PROGRAMS/threads" space 0.05)
    with=$(lowest agent HPPROF_REMAP=off HPPROF_CACHE=off HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/threads" space 0.05)
    check "$plain" '>' 0
    check "$with" '>' 0
    check "$((with - plain))" '<=' 32768 "KiB more than $plain"
}

@test "hpprof record where the agent is preloaded already" {
    cp "$AGENT" copy.so
    LD_PRELOAD=$PWD/copy.so hpprof record -F 997 -o twice.pb -- "$PROGRAMS/shares_fixed" 0.6
    hpprof report twice.pb
    hpprof flamegraph --folded twice.pb >folded
    has_samples folded 150 'alpha_work$'
    check "$(folded_weight 'alpha_work$' <folded)" '<=' 600
}

@test "a complaint does not go into a file that has come into the place of standard error" {
    agent HPPROF_OUT=/nonexistent/x.pb "$PROGRAMS/descriptors" log 0.3 >out 2>err
    [ "$(cat out)" = "log is 2" ]
    [ "$(cat descriptors.log)" = "a line" ]
    [ ! -s err ]
    agent HPPROF_OUT=/nonexistent/x.pb "$PROGRAMS/descriptors" list 0.2 2>err # where it is what it was:
    grep '^hpprof: .*/nonexistent/x.pb' err
}

@test "a complaint to a pipe that nobody reads ends no program" {
    local status=0
    mkfifo pipe
    exec 7<>pipe 8>pipe 7<&- # 8 has no reader
    timeout 60 env --default-signal=PIPE LD_PRELOAD="$AGENT" HPPROF_OUT=/nonexistent/x.pb \
        "$PROGRAMS/endings" return 2>&8 || status=$?
    [ "$status" -eq 1 ]
}

@test "a complaint to a pipe that is full hangs no program" {
    mkfifo pipe
    exec 8<>pipe
    dd if=/dev/zero of=/proc/self/fd/8 oflag=nonblock bs=4096 2>err || true
    timeout 60 env LD_PRELOAD="$AGENT" HPPROF_OUT=/nonexistent/x.pb "$PROGRAMS/threads" named 2>&8
}

@test "no current directory: no profile anywhere else, and a complaint" {
    local name=hpprof-edges-$$.pb
    mkdir gone
    cd gone
    rmdir ../gone
    timeout 60 env LD_PRELOAD="$AGENT" HPPROF_OUT="$name" HPPROF_FREQ=997 \
        "$PROGRAMS/threads" nested >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
    cd "$BATS_TEST_TMPDIR"
    [ "$(cat out)" = "nested threads" ]
    cat err
    [ ! -e "/$name" ] || { rm "/$name"; false; }
    grep "^hpprof: .*$name" err
}

@test "under valgrind" {
    command -v valgrind || skip "valgrind is not installed"
    agent HPPROF_OUT="$PWD/x.pb" valgrind -q --tool=none "$PROGRAMS/threads" nested 0.02 >out 2>err
    cat err
    [ "$(cat out)" = "nested threads" ]
    [ ! -s err ]
}
