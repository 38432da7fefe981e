#!/usr/bin/env bats
# hpprof dump: every thread's stack right now; the process goes on as if nothing had happened.

load helper
load profiles

setup() {
    hpprof_setup
    target=
}

# the program may end by itself, which removes its semaphore
teardown() {
    exec 7>&-
    [ -n "$target" ] || return 0
    kill -CONT "$target" 2>/dev/null || return 0
    for _ in {1..100}; do
        kill -0 "$target" 2>/dev/null || break
        sleep 0.05
    done
    { kill -9 "$target" && wait "$target"; } 2>/dev/null || true
}

# start COMMAND…: in the background, until it says `ready` and sleepers' first thread sleeps, too; its input stays open
start() {
    rm -f stdin
    mkfifo stdin
    : >target.out
    "$@" <stdin >target.out 2>target.err 7>&- 3>&- &
    target=$!
    exec 7>stdin
    for _ in {1..1200}; do
        grep -q ready target.out && { [[ $* != *sleepers ]] || grep -q '^State:.*S (' "/proc/$target/status"; } && return
        sleep 0.05
    done
    cat target.out target.err
    return 1
}

# until_in STATE COUNT: so many of the program's threads are in that state (proc_pid_status(5))
until_in() {
    for _ in {1..500}; do
        [ "$(cat /proc/"$target"/task/*/status | grep -c "^State:.*$1 (")" -lt "$2" ] || break
        sleep 0.02
    done
}

# finish LINE: standard input ends, and the program prints LINE and exits 0
finish() {
    local pid=$target
    exec 7>&-
    wait "$pid"
    target=
    cat target.out target.err
    grep -qx "$1" target.out
    [ ! -s target.err ]
}

# let_be PID: nobody traces it, and it is not stopped
let_be() {
    grep -qx $'TracerPid:\t0' "/proc/$1/status"
    lacks "/proc/$1/status" '^State:.*[tT] \('
}

# chain THREAD FUNCTION…: in the file out, these follow each other in that thread's stack
chain() {
    local name=$1
    shift
    awk -v name="\"$name\"" -v wanted="$*" '
        /^thread / { inside = $3 == name }
        inside && /^#/ { got = got " " $3 (NF > 4 ? "_" $4 : "") }
        END { if (index(got " ", " " wanted " ")) exit 0; print "in " name ": " got; exit 1 }' out
}

# whole THREAD: its stack is there and ends at its root
whole() {
    awk -v name="\"$1\"" '/^thread / { inside = $3 == name; if (inside) seen++ }
        inside && /^\[/ { print; bad = 1 } END { exit bad || !seen }' out
}

chains() {
    local name
    for name in sleeping futex reading epoll sigwaiting semaphore running; do
        chain $name ${name}_leaf ${name}_middle ${name}_root $name
        whole $name
    done
    chain sleepers main_leaf main
    whole sleepers
    grep -A99 '^thread .* "running" (running)$' out | grep -q 'running_leaf  sleepers$'
    [ "$(grep -c '^thread .* (sleeping)$' out)" -eq 10 ]
    chain handled handler_leaf handler '<signal_handler'
    chain handled handled_leaf handled_middle handled_root handled
    whole handled
    # code made at run time: an address without a name
    chain jit jit_leaf jit_middle jit_root jit
    whole jit
    grep -A3 '^thread .* "jit"' out | grep -q clock_nanosleep
    awk '/^thread / { inside = $3 == "\"jit\"" } inside && /wait_below/ { getline; print; exit NF != 2 }' out
    awk '/^thread / { inside = $3 == "\"lost\"" } inside && /^\[unfinished\] no unwind information/ { found = 1 }
        END { exit !found }' out
    tail -1 out | grep -Ex 'stopped for [0-9]+\.[0-9] ms'
}

traceable() { strace -o /dev/null true 2>/dev/null || skip "ptrace is not possible"; }

@test "threads that sleep in every way, and one that runs, without frame pointers: each whole chain" {
    traceable
    start "$PROGRAMS/sleepers"
    hpprof dump "$target" >out
    cat out
    chains
    let_be "$target"
    finish 'calls that returned: 0'
}

@test "text on huge pages: the same names" {
    traceable
    huge_pages_on || skip "transparent huge pages are off"
    start env LD_PRELOAD="$AGENT" HPPROF_REMAP=memfd HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/sleepers"
    grep 'r-xp .* /memfd:sleepers' "/proc/$target/maps"
    hpprof dump "$target" >out
    chains
    finish 'calls that returned: 0'
    rm -f x.pb
    for how in env 'setarch -R'; do
        # shellcheck disable=SC2086
        start $how env LD_PRELOAD="$AGENT" HPPROF_REMAP=anon HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/sleepers"
        hpprof dump "$target" >out
        cat out
        # running_leaf's page is anonymous
        leaf=$(awk '/ running_leaf / { print substr($2, 3) }' out)
        awk -v leaf="0000$leaf" '{ split($1, at, "-"); start = substr("0000000000000000" at[1], length(at[1]) + 1)
            end = substr("0000000000000000" at[2], length(at[2]) + 1); leaf = substr(leaf, length(leaf) - 15) }
            leaf >= start && leaf < end { print; found = $5 == 0 && $2 ~ /^r-x/ } END { exit !found }' "/proc/$target/maps"
        chains
        finish 'calls that returned: 0'
        rm -f x.pb
    done
}

@test "no call of the program returns however often it is stopped" {
    traceable
    start "$PROGRAMS/sleepers"
    for _ in {1..100}; do
        hpprof dump "$target" >out
    done
    let_be "$target"
    finish 'calls that returned: 0'
}

@test "--tid: only that thread" {
    traceable
    start "$PROGRAMS/sleepers"
    tid=$(grep -lx epoll /proc/"$target"/task/*/comm | sed 's,.*/task/\([0-9]*\)/.*,\1,')
    hpprof dump "$target" --tid "$tid" >out
    cat out
    [ "$(grep -c ^thread out)" -eq 1 ]
    grep -qx "thread $tid \"epoll\" (sleeping)" out
    chain epoll epoll_leaf epoll_middle epoll_root epoll
    hpprof dump -t "$target" "$target" | grep -q main_leaf
    fails 1 "hpprof: process $target has no thread $$" hpprof dump "$target" --tid $$
    fails 1 "hpprof: $tid is a thread of process $target: hpprof dump $target --tid $tid" hpprof dump "$tid"
    finish 'calls that returned: 0'
}

@test "killed at any moment, the command lets the process go" {
    traceable
    start "$PROGRAMS/sleepers"
    for i in {1..50}; do
        "$HPPROF_COMMAND" dump "$target" >/dev/null 2>&1 3>&- 7>&- &
        pid=$!
        # 0 to 8 ms: before, within and after the stop
        perl -e 'select(undef, undef, undef, $ARGV[0] / 6000)' "$i"
        kill -9 $pid 2>/dev/null || true
        wait $pid 2>/dev/null || true
        for task in /proc/"$target"/task/*; do
            [ ! -e "$task/status" ] || let_be "$target/task/${task##*/}"
        done
    done
    # of calls that do not begin again by themselves one may have returned, if the end came right at its stop
    hpprof dump "$target" >out
    for name in sleeping futex reading running; do
        chain $name ${name}_leaf ${name}_middle ${name}_root $name
    done
    finish 'calls that returned: [0-3]'
}

@test "a terminated command ends by its signal, after it has let go" {
    traceable
    start "$PROGRAMS/sleepers"
    for i in {1..20}; do
        "$HPPROF_COMMAND" dump "$target" >/dev/null 2>&1 3>&- 7>&- &
        pid=$!
        perl -e 'select(undef, undef, undef, $ARGV[0] / 3000)' "$i"
        kill -TERM $pid 2>/dev/null || true
        wait $pid || [ $? -eq 143 ]
        let_be "$target"
    done
    finish 'calls that returned: 0'
}

@test "threads that come and go: 200 times, and the program is fine" {
    traceable
    start "$PROGRAMS/churn"
    for _ in {1..200}; do
        hpprof dump "$target" >out 2>err || { cat out err; false; }
        grep -q '^stopped for ' out
        grep -q '^thread ' out
        [ ! -s err ]
    done
    let_be "$target"
    finish 'failures: 0'
}

@test "a stopped process stays stopped" {
    traceable
    start "$PROGRAMS/sleepers"
    kill -STOP "$target"
    until_in T 11
    for _ in {1..5}; do
        hpprof dump "$target" >out
        [ "$(grep -c '^thread .* (stopped)$' out)" -eq 11 ]
        chain epoll epoll_leaf epoll_middle
        until_in T 11 # again: each thread does that itself once it is let go
        for task in /proc/"$target"/task/*; do
            grep -q '^State:.*T (stopped)' "$task/status"
            grep -qx $'TracerPid:\t0' "$task/status"
        done
    done
    kill -CONT "$target"
    hpprof dump "$target" >out
    chain running running_leaf running_middle
}

@test "a thread that nothing can stop: told, the others are there" {
    traceable
    start "$PROGRAMS/vfork_parent"
    until_in D 1
    status=0
    hpprof dump "$target" >out 2>err || status=$?
    cat out err
    [ "$status" -eq 1 ]
    [ "$(cat err)" = "hpprof: no stack of thread $target: it waits in the kernel where it cannot be stopped" ]
    grep -q 'waiting_leaf  vfork_parent$' out
    grep -qx "thread $target \"vfork_parent\" (waiting in the kernel)" out
    grep -qx $'TracerPid:\t0' "/proc/$target/status"
    finish ended
}

# odd KIND…: dumps such a program, or the one in the variable program
odd() {
    start "${program:-$PROGRAMS/odd_stacks}" "$@"
    hpprof dump "$target" >out 2>err
    kill -9 "$target"
    cat out err
    [ ! -s err ]
    awk '/^#/ { print $3 (NF > 4 ? "_" $4 : "") }' out >names
}

@test "recursion: every frame, up to what is copied; then it says so" {
    traceable
    odd deep 2000
    [ "$(grep -cx deep_leaf names)" -eq 2000 ]
    lacks out '^\['
    odd deep 20000
    [ "$(grep -cx deep_leaf names)" -gt 3000 ]
    grep -qx '\[unfinished\] the stack is deeper than 1024 KiB' out
}

@test "a call through a bad pointer, a coroutine, a main thread that has ended" {
    traceable
    odd null
    [ "$(sed -n '/^waiting_handler$/,$p' names | head -5 | paste -sd' ')" = \
        "waiting_handler <signal_handler  caller_leaf main" ]
    lacks out '^\['
    odd coroutine
    [ "$(tail -4 names | paste -sd' ')" = "wait_here inner_leaf coroutine_entry __start_context" ]
    lacks out '^\['
    odd left
    grep -qx "thread $target \"odd_stacks\" (ended)" out
    grep -qx left_leaf names
    lacks out '^\[unfinished'
}

@test "the kernel's own code (vdso) has its name" {
    traceable
    start "$PROGRAMS/odd_stacks" clock
    for _ in {1..100}; do
        hpprof dump "$target" >out
        lacks out '^\[unfinished'
        grep -q ' asking_leaf  odd_stacks$' out
        ! grep -E '^#0 .*clock_gettime  \[vdso\]$' out || return 0
    done
    cat out && false
}

@test "static programs, which bring no sorted table, and others as they may be linked" {
    traceable
    for how in -static -static-pie '-no-pie -Wl,-z,noseparate-code'; do
        # shellcheck disable=SC2086
        cc -O2 -fomit-frame-pointer -fno-optimize-sibling-calls -w $how "$ROOT/tests/programs/odd_stacks.c" -o linked
        program=./linked odd deep 5
        [ "$(grep -cx deep_leaf names)" -eq 5 ]
        [ "$(tail -1 names)" = _start ]
        lacks out '^\['
    done
}

@test "the same frames as gdb" {
    traceable
    cat >frames.py <<'END'
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame = gdb.newest_frame()
    while frame is not None:
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            print("frame %d 0x%016x" % (thread.ptid[1], frame.pc()))
        frame = frame.older()
END
    start "$PROGRAMS/sleepers"
    hpprof dump "$target" >out
    gdb -nx -batch -p "$target" -ex 'set backtrace past-main on' -x frames.py >gdb.out 2>gdb.err 7>&-
    # one runs on meanwhile, and of code made at run time gdb thinks otherwise
    awk '/^thread / { skip = $3 ~ /running|jit|lost/; tid = $2 } /^#/ && !skip { print "frame", tid, $2 }' out | sort >ours
    awk '/^thread / && $3 ~ /running|jit|lost/ { skip[$2] } FNR != NR && /^frame / && !($2 in skip)' out gdb.out | sort >theirs
    [ "$(wc -l <ours)" -gt 50 ]
    same theirs ours
}

@test "a process that another one traces: who" {
    traceable
    start "$PROGRAMS/sleepers"
    strace -qq -o /dev/null -p "$target" 3>&- 7>&- &
    tracer=$!
    for _ in {1..100}; do
        grep -qx $'TracerPid:\t'"$tracer" "/proc/$target/status" && break
        sleep 0.05
    done
    fails 1 "hpprof: process $target is being traced by process $tracer (strace)" hpprof dump "$target"
    kill -INT $tracer
    wait $tracer || true
    hpprof dump "$target" >out
    chain running running_leaf
}

@test "what is no process to dump: one line each, status 1" {
    sleep 0 3>&- &
    gone=$!
    wait $gone
    fails 1 "hpprof: there is no process $gone" hpprof dump $gone
    # shellcheck disable=SC2016
    fails 1 "is this command itself" sh -c 'exec "$0" dump $$' "$HPPROF_COMMAND"
    if grep -q '^kthreadd$' /proc/2/comm 2>/dev/null; then
        fails 1 "hpprof: 2 (kthreadd) is a thread of the kernel" hpprof dump 2
    fi
    perl -e '$p = fork; exit 0 unless $p; syswrite STDOUT, "$p\n"; sleep 30' >zombie 3>&- &
    parent=$!
    for _ in {1..100}; do
        ! grep -q '^State:.*Z' "/proc/$(cat zombie)/status" 2>/dev/null || break
        sleep 0.05
    done
    fails 1 "hpprof: process $(cat zombie) (perl) has ended: it is a zombie until its parent $parent (perl) waits" \
        hpprof dump "$(cat zombie)"
    kill $parent
}

@test "no permission: one line that says what to do" {
    if [ "$(id -u)" -ne 0 ]; then
        fails 1 "hpprof: may not stop process 1: it belongs to another user (uid 0): run as root" hpprof dump 1
        return
    fi
    start "$PROGRAMS/sleepers"
    cp "$HPPROF_COMMAND" hpprof
    chmod 755 . hpprof
    fails 1 "hpprof: may not stop process $target: it belongs to another user (uid 0): run as root" \
        setpriv --reuid 65534 --regid 65534 --clear-groups ./hpprof dump "$target"
    finish 'calls that returned: 0'
}

@test "mistakes on the command line" {
    fails 2 "hpprof: dump: missing argument" hpprof dump
    fails 2 "hpprof: dump: 'x1' is no process id" hpprof dump x1
    fails 2 "hpprof: dump: '-1' is no process id" hpprof dump -- -1
    fails 2 "hpprof: dump: --tid: 'x' is not allowed, only 1..4194304" hpprof dump 1 --tid x
    hpprof dump --help | grep -q -e '-t, --tid=TID'
}

@test "a program that was replaced meanwhile gives no wrong names" {
    traceable
    cp "$PROGRAMS/sleepers" copy
    start ./copy
    rm copy
    hpprof dump "$target" >out 2>err || { cat err; false; }
    # root may still read the file that has lost its name; others get offsets
    grep -q 'epoll_leaf  copy$' out || grep -q 'copy+0x' out || grep -q '0x' err
    cp "$PROGRAMS/churn" copy
    hpprof dump "$target" >out 2>err
    lacks out 'leaf  copy.*churn|maker|leaf\+'
    finish 'calls that returned: 0'
}
