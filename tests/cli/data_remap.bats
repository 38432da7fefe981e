#!/usr/bin/env bats
# HPPROF_REMAP_DATA=1: the program's own .data and .bss on huge pages, with every byte and permission as it was.

load helper
load backends

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
}
teardown() { backends_release; }

# moves KIB [VARIABLE=VALUE…] PROGRAM ARGUMENT…: large_data of that size says the same as without; and what became of it
moves() {
    local kib=$1
    shift
    rm -f x.pb
    agent HPPROF_REMAP_DATA=1 HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$@" >out 2>err
    cat out err
    [ ! -s err ]
    is_whole
    grep -E "^data_kib=$((2 * kib)) .* no_dump=0 no_fork=0$" out
    profile_comments x.pb | grep '^hpprof.data ' | tee comments
}

is_whole() {
    printf '%s ok\n' main heap child again >expected
    head -4 out >told
    same expected told
    grep -x 'relro r--p' out
}

huge() { sed -n 's/^data_kib=.* huge_kib=\([0-9]*\) .*/\1/p' out; }

@test "whole huge pages of .data and .bss; fork children, heap and RELRO as ever; and that is told" {
    moves 16384 "$PROGRAMS/large_data"
    # all but the 2 MiB at each end
    check "$(huge)" '>=' $((2 * 16384 - 4096))
    check "$(huge)" '==' "$(comment_field eligible_kib <comments)"
    check "$(comment_field when_touched_kib <comments)" '>' 0
    check $(($(comment_field huge_kib <comments) + $(comment_field when_touched_kib <comments))) '==' "$(huge)"
    hpprof report x.pb | grep -E '^Data on huge pages: [0-9.]+ of [0-9.]+ MiB eligible, and [0-9.]+ MiB when touched.$'
    hpprof report --json x.pb | jq -e '.data.huge_kib > 0'
}

# whatever moves text: on private pages, which may be written to, and never on reserved ones
moves_beside() {
    [ "$1" != hugetlb ] || reserve 8
    moves 16384 HPPROF_REMAP="$1" "$PROGRAMS/large_data"
    check "$(huge)" '>=' $((2 * 16384 - 4096))
    lacks comments 'reason='
    check $(($(comment_field huge_kib <comments) + $(comment_field when_touched_kib <comments))) '==' "$(huge)"
}
@test "the same beside text that anon moves" { moves_beside anon; }
@test "the same beside text that memfd moves" { moves_beside memfd; }
@test "the same beside text that hugetlb moves" { moves_beside hugetlb; }
@test "the same beside text that file makes huge" { moves_beside file; }
@test "the same beside text that cache moves" { moves_beside cache; }

@test "64 MiB of each, at a fixed address, also without address space randomization" {
    cc -O1 -DKIB=65536 -no-pie "$ROOT/tests/programs/large_data.c" -o program
    moves 65536 ./program
    check "$(huge)" '>=' $((2 * 65536 - 4096))
    moves 65536 setarch -R ./program
    check "$(huge)" '>=' $((2 * 65536 - 4096))
}

@test "off, the default, and with HPPROF_REMAP=off: nothing is touched" {
    moves 16384 HPPROF_REMAP_DATA=0 "$PROGRAMS/large_data" || [ "$(huge)" -eq 0 ]
    [ ! -s comments ]
    moves 16384 HPPROF_REMAP=off "$PROGRAMS/large_data" || [ "$(huge)" -eq 0 ]
    [ ! -s comments ]
}

@test "HPPROF_REMAP_MATCH chooses for data too" {
    moves 16384 HPPROF_REMAP_MATCH='*/other' "$PROGRAMS/large_data"
    [ "$(huge)" -eq 0 ]
    grep "reason='HPPROF_REMAP_MATCH does not match the program'" comments
    moves 16384 HPPROF_REMAP_MATCH='*/large_data' "$PROGRAMS/large_data"
    check "$(huge)" '>' 0
}

@test "another thread runs already: it stays, and the profile says why" {
    moves 16384 "$PROGRAMS/large_data" thread
    [ "$(huge)" -eq 0 ]
    grep "reason='another thread runs already'" comments
    hpprof report x.pb | grep -E '^Data on huge pages: 0.0 of .* MiB when touched; the rest not: another thread runs already.$'
}

with_text_by() {
    ready "$1" "$PROGRAMS/edge_text"
    agent HPPROF_REMAP_WHEN=start HPPROF_REMAP_DATA=1 HPPROF_REMAP_EDGES=absorb HPPROF_OUT="$PWD/x.pb" HPPROF_FREQ=997 ./program 0.2 >out
    grep -x 'differ=0 writable_executable=0 heap=ok' out
    profile_comments x.pb | grep "^hpprof.remap backend=$1 .*/program$"
}
@test "with text: HPPROF_REMAP_DATA and the text of the same program, by anon" { with_text_by anon; }
@test "with text: HPPROF_REMAP_DATA and the text of the same program, by memfd" { with_text_by memfd; }
@test "with text: HPPROF_REMAP_DATA and the text of the same program, by hugetlb" { with_text_by hugetlb; }

@test "each system call of it fails: the bytes stay" {
    "$PROGRAMS/fail_call" "$AGENT" 0 0 /bin/true 2>err || skip "ptrace is not possible"
    export HPPROF_CACHE=off HPPROF_REMAP_DATA=1 HPPROF_SESSION=$PWD/session
    local call number error first last count=0
    mkdir session
    "$PROGRAMS/fail_call" "$AGENT" 0 0 "$PROGRAMS/large_data" >out 2>list
    is_whole
    cut -d' ' -f2 list | addr2line -a -i -e "$AGENT" | awk '/^0x/ { n++ } /remap\/data\.c/ { last = n; if (!first) first = n }
        END { print first, last }' >range
    read -r first last <range
    while read -r call _ number; do
        ((call >= first && call <= last)) || continue
        for error in 12 $([ "$number" != 25 ] || echo hole); do
            rm -f session/*.pb
            timeout -k 1 60 "$PROGRAMS/fail_call" "$AGENT" "$call" "$error" "$PROGRAMS/large_data" >out 2>err </dev/null || {
                echo "call $call ($number), $error:"
                cat out err
                return 1
            }
            is_whole
            count=$((count + 1))
        done
    done <list
    echo "$count failures"
    check "$count" '>=' 30
}
