#!/usr/bin/env bats
# Text is never missing, never writable and executable, never different: a tracer looks at the memory map before and
# behind each system call of the agent's that changes it, in the program and in the writer.

load helper
load backends
load profiles

setup() {
    hpprof_setup
    [ "$(uname -m)" = x86_64 ] || skip 'for x86-64 only'
    "$PROGRAMS/watch_text" "$AGENT" true 2>err || ! grep 'cannot trace' err || skip 'ptrace is not possible'
    huge_pages_on || skip "transparent huge pages are off"
}
teardown() { backends_release; }

# watched COMMAND…: nothing was wrong. How often what was seen is in mremap, others, by_writer and on_data.
watched() {
    timeout -k 1 100 ${UNDRAWN:+setarch -R} "$PROGRAMS/watch_text" "$AGENT" env LD_PRELOAD="$AGENT" HPPROF_OUT="$PWD/x.pb" "$@" >out 2>err || {
        echo "exit status $?"
        cat out err
        profile_comments x.pb | grep -E '^hpprof.(left|remap|note)'
        return 1
    }
    cat out err
    read -r mremap others by_writer on_data <<<"$(sed -n 's/.*on text: \([0-9]*\) mremap, \([0-9]*\) others, \([0-9]*\) of them by its writer; on data: \([0-9]*\) mremap.*/\1 \2 \3 \4/p' err)"
    grep -q '; 0 wrong$' err
}

# moved_by: the backend has put something in the text's place, or asked for huge pages there
moved_by() {
    case $HPPROF_REMAP in
    file) check "$others" '>=' 1 ;;
    auto) check "$((mremap + others))" '>=' 1 ;;
    *) check "$mremap" '>=' 1 ;;
    esac
}

at_start() {
    ready "$1" "$PROGRAMS/text_check_large"
    watched HPPROF_REMAP_WHEN=start ./program
    grep -E '^main .* differ=0$' out
    moved_by
    check "$by_writer" '==' 0
}

hot() {
    former_profile former.pb "$PROGRAMS/shares_fixed_exec"
    ready "$1" "$PROGRAMS/shares_fixed_exec"
    # long enough: each call of the writer's waits for the tracer, which the program's work keeps from a processor
    watched HPPROF_REMAP_WHEN=hot HPPROF_REMAP_HOT="$PWD/former.pb" ./program 3
    moved_by
    check "$by_writer" '>=' 1
}

@test "anon, at start" { at_start anon; }
@test "memfd, at start" { at_start memfd; }
@test "hugetlb, at start" { at_start hugetlb; }
@test "file, at start" { at_start file; }
@test "cache, at start" { at_start cache; }
@test "auto, at start" { at_start auto; }
@test "anon, hot" { hot anon; }
@test "memfd, hot" { hot memfd; }
@test "hugetlb, hot" { hot hugetlb; }
@test "file, hot" { hot file; }
@test "cache, hot" { hot cache; }
@test "auto, hot" { hot auto; }

# with what is beside the text, which is gaps and data
absorbed() {
    local times
    agent HPPROF_REMAP=off HPPROF_FREQ=997 HPPROF_OUT="$PWD/former.pb" "$PROGRAMS/edge_text" 1
    ready "$1" "$PROGRAMS/edge_text"
    for times in 'start 0.1' 'hot 3'; do
        UNDRAWN=1 watched HPPROF_REMAP_EDGES=absorb HPPROF_REMAP_WHEN="${times% *}" HPPROF_REMAP_HOT="$PWD/former.pb" ./program "${times#* }"
        grep -x 'differ=0 writable_executable=0 heap=ok' out
        check "$mremap" '>=' 2
        grep -aq ' absorbed_kib=[1-9]' x.pb
        rm x.pb
    done
    check "$by_writer" '>=' 2
}
@test "anon, with what is beside the text" { absorbed anon; }
@test "memfd, with what is beside the text" { absorbed memfd; }

pinned() {
    (ulimit -l 4096) 2>/dev/null || skip "RLIMIT_MEMLOCK cannot be 4096"
    ulimit -l 4096
    ready "$1" "$PROGRAMS/shares_fixed_exec"
    watched HPPROF_MLOCK=text HPPROF_REMAP_WHEN=start HPPROF_FREQ=997 ./program 0.2
    moved_by
    grep -aq ' locked_kib=2048' x.pb
}
@test "anon, pinned" { pinned anon; }
@test "memfd, pinned" { pinned memfd; }
@test "cache, pinned" { pinned cache; }

@test "data" {
    cp "$PROGRAMS/large_data" .
    watched HPPROF_REMAP_WHEN=start HPPROF_REMAP_DATA=1 ./large_data
    check "$(grep -cE '^(main|heap|child|again) ok$' out)" '==' 4
    check "$on_data" '>=' 1
}

@test "the watcher sees what is wrong, and that nothing was moved" {
    local status=0
    watched HPPROF_REMAP=anon HPPROF_REMAP_WHEN=start "$PROGRAMS/writable_text" 0.1 || status=$?
    [ $status -ne 0 ]
    grep -E '^watch_text: .*r?wx' err
    ready anon "$PROGRAMS/text_check_large"
    "$PROGRAMS/watch_text" "$AGENT" env LD_PRELOAD="$AGENT" HPPROF_REMAP=off ./program >out 2>err || status=$?
    [ $status -eq 3 ]
    "$PROGRAMS/watch_text" "$AGENT" env LD_PRELOAD="$AGENT" HPPROF_REMAP_WHEN=start "$PROGRAMS/hole" >out 2>err || status=$?
    [ $status -eq 1 ]
    grep -E '^watch_text: .*no text at ' err
}
