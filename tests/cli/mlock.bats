#!/usr/bin/env bats
# HPPROF_MLOCK=text: text that was moved is pinned in memory, as far as the program's RLIMIT_MEMLOCK allows.

load helper
load backends

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
}

# pinned LIMIT [VARIABLE=VALUE…] ARGUMENT…: edge_text under that RLIMIT_MEMLOCK (KiB); its output in out, comments
pinned() {
    (ulimit -l "$1") 2>/dev/null || skip "RLIMIT_MEMLOCK cannot be $1"
    rm -f x.pb
    (ulimit -l "$1" && shift &&
        UNDRAWN=1 agent HPPROF_REMAP=anon HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" HPPROF_MLOCK=text "$@") >out 2>err
    cat out err
    [ ! -s err ]
    grep -x 'differ=0 writable_executable=0 heap=ok' out
    profile_comments x.pb | grep -E '^hpprof\.(remap|left) .*/edge_text$' | tee comments
    hpprof report x.pb | tee report
}

# locked: KiB that the kernel counts; it must be what the profile tells, of whole huge pages
locked() { sed -n 's/^locked_kib=\([0-9]*\).*/\1/p' out; }

teardown() { backends_release; }

# pinned_by BACKEND: at start all that it moved is pinned, up to half of the limit; the kernel counts that, but for reserved
# pages, which always stay
pinned_by() {
    (ulimit -l 8192) 2>/dev/null || skip "RLIMIT_MEMLOCK cannot be 8192"
    ready "$1" "$PROGRAMS/hot_shares"
    (ulimit -l 8192 &&
        agent HPPROF_REMAP_WHEN=start HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" HPPROF_MLOCK=text ./program 100 0 0 0.2) >out
    profile_comments x.pb | grep -E '^hpprof\.(remap|left) .*/program$' | tee comments
    ! grep "reason='its file system gave no huge pages'" comments || skip 'no large folios on this file system'
    moved=$(comment_field huge_kib <comments | awk '{ n += $1 } END { print n + 0 }')
    pinned=$(comment_field locked_kib <comments | awk '{ n += $1 } END { print n + 0 }')
    check "$moved" '>' 0
    check "$pinned" '==' $((moved < 4096 ? moved : 4096))
    check "$(locked)" '==' "$([ "$1" = hugetlb ] && echo 0 || echo "$pinned")"
}
@test "what was moved is pinned, by anon" { pinned_by anon; }
@test "what was moved is pinned, by memfd" { pinned_by memfd; }
@test "what was moved is pinned, by hugetlb" { pinned_by hugetlb; }
@test "what was moved is pinned, by file" { pinned_by file; }
@test "what was moved is pinned, by cache" { pinned_by cache; }

@test "within the limit: pinned, and told; the program has room for as much of its own" {
    pinned 4096 "$PROGRAMS/edge_text" 0.2
    [ "$(locked)" -eq 2048 ]
    grep -x 'locked_kib=2048 own=ok' out
    grep '^hpprof.remap .* locked_kib=2048 image=' comments
    lacks comments not_locked
    grep -E 'edge_text: 2.0 MiB of it pinned in memory$' report
    hpprof report --json x.pb | jq -e '.remap[0].locked_kib == 2048'
}

@test "beyond half of the limit: what fits is pinned, and the profile says why not all" {
    pinned 4096 HPPROF_REMAP_EDGES=absorb "$PROGRAMS/edge_text" 0.2
    [ "$(locked)" -eq 2048 ]
    grep 'own=ok' out
    grep "^hpprof.remap .* locked_kib=0 not_locked='half of RLIMIT_MEMLOCK is reached' image=" comments
    grep -E 'edge_text: 2.0 MiB of it pinned in memory; not all: half of RLIMIT_MEMLOCK is reached$' report
    pinned 2048 "$PROGRAMS/edge_text" 0.2
    [ "$(locked)" -eq 0 ]
    grep "^hpprof.remap .* locked_kib=0 not_locked='half of RLIMIT_MEMLOCK is reached' image=" comments
}

@test "hot: the writer pins what it moves" {
    pinned 4096 HPPROF_REMAP_WHEN=hot "$PROGRAMS/edge_text" 2
    grep -x 'locked_kib=2048 own=ok' out
    grep '^hpprof.remap .* when=hot locked_kib=2048 image=' comments
}

@test "off, the default: nothing is pinned" {
    pinned 4096 HPPROF_MLOCK=off "$PROGRAMS/edge_text" 0.2
    [ "$(locked)" -eq 0 ]
    lacks comments locked_kib
}
