#!/usr/bin/env bats
# Each backend of the remap: huge pages, the same bytes, names in samples, no larger core dumps, and what it does
# where it cannot work.

load helper
load backends

setup() {
    hpprof_setup
    export HPPROF_REMAP_WHEN=start
    huge_pages_on || skip "transparent huge pages are off"
}

teardown() { backends_release; }

# old_agent …: as agent, where the kernel does not tell which pages are huge but in /proc/self/smaps (before Linux 6.7)
old_agent() { timeout -k 1 60 "$PROGRAMS/deny" pagemap-scan 25 env LD_PRELOAD="$AGENT" "$@"; }

# moves BACKEND PROGRAM: all huge, the same bytes, so told; and a program's samples have their names. By `$run`.
run=agent
moves() {
    $run HPPROF_REMAP="$1" HPPROF_OUT="$PWD/text.pb" "$2" >out
    cat out
    grep -E '^main inward_kib=([0-9]*) huge_kib=\1 differ=0$' out
    grep -x 'writable_executable=0' out
    $run HPPROF_REMAP="$1" HPPROF_FREQ=997 HPPROF_OUT="$PWD/work.pb" "${3-$PROGRAMS/shares_fixed}" 0.4
    profile_comments work.pb | grep "^hpprof.remap backend=$1 .* image=.*shares_fixed" >moved
    awk '{ match($0, / asked_kib=[0-9]+/); asked = substr($0, RSTART + 11, RLENGTH - 11)
        match($0, / huge_kib=[0-9]+/); huge = substr($0, RSTART + 10, RLENGTH - 10)
        if (asked != huge) { print; bad = 1 } } END { exit bad }' moved
    profile_folded work.pb >folded
    has_samples folded 200
    check "$(folded_weight '(^|;)main;.*(alpha|beta|gamma)_work$' <folded)" '>=' 100
}

@test "anon" { moves anon "$PROGRAMS/text_check"; }

@test "memfd" { moves memfd "$PROGRAMS/text_check"; }

@test "memfd: a kernel that says try again is asked again" {
    local call
    "$PROGRAMS/fail_call" "$AGENT" 0 0 /bin/true 2>err || skip "ptrace is not possible"
    export HPPROF_REMAP=memfd HPPROF_SESSION=$PWD
    "$PROGRAMS/fail_call" "$AGENT" 0 0 "$PROGRAMS/text_check" >out 2>list
    cut -d' ' -f2 list | addr2line -a -i -f -e "$AGENT" | awk '/^0x/ { n++ } /^hpp_huge_collapse$/ { print n }' >asked
    call=$(head -1 asked)
    [ -n "$call" ] || skip "a memfd has huge pages here without MADV_COLLAPSE"
    "$PROGRAMS/fail_call" "$AGENT" "$call" 11 "$PROGRAMS/text_check" >out # EAGAIN
    cat list out
    grep -E '^main inward_kib=([0-9]*) huge_kib=\1 differ=0$' out
}

@test "hugetlb: reserved pages; without them the text stays, and the profile says so" {
    reserve 8
    moves hugetlb "$PROGRAMS/text_check"
    reserve 0
    agent HPPROF_REMAP=hugetlb HPPROF_FREQ=997 HPPROF_OUT="$PWD/none.pb" "$PROGRAMS/shares_fixed" 0.2
    profile_comments none.pb | grep "^hpprof.left .*reason='not enough reserved huge pages.*shares_fixed"
}

# file_moves: where a cold file's text can become huge (ext4 since Linux 6.16, XFS), it is
file_moves() {
    local remap=$1
    cp "$PROGRAMS/text_check_large" program
    cold program
    $run HPPROF_REMAP="$remap" HPPROF_OUT="$PWD/x.pb" HPPROF_SESSION="$PWD" ./program >out
    cat out
    grep -E '^main .* differ=0$' out
    flock -w 20 ./*.pb true
    grep -aoE "hpprof.(remap backend|left)[^']*('[^']*')?" ./*.pb | tee told
    grep "reason='its file system gave no huge pages'" told && skip "no large folios on this file system"
    # what the kernel has read while it started the program stays small
    check "$(sed -n 's/^main .*huge_kib=\([0-9]*\).*/\1/p' out)" '>=' 12288
    # and all the rest is told of
    [ "$remap" != file ] || check "$(sed -n 's/.*backend=file.* huge_kib=\([0-9]*\).*/\1/p' told | awk '{ n += $1 } END { print n + 0 }')" \
        == "$(sed -n 's/^main .*huge_kib=\([0-9]*\).*/\1/p' out)"
}

@test "file: cold text becomes huge where it is, under its own name" {
    file_moves file
    grep -a 'backend=file' told
    lacks told 'backend=(anon|memfd)'
    # the next process finds it so, and does not read
    agent HPPROF_REMAP=transparent ./program >again
    same out again
}

@test "file: the same where the kernel does not tell which pages are huge" {
    run=old_agent file_moves file
    grep -a 'backend=file' told
}

@test "anon: the same" { run=old_agent moves anon "$PROGRAMS/text_check"; }

@test "memfd: the same" { run=old_agent moves memfd "$PROGRAMS/text_check"; }

@test "hugetlb: the same" {
    reserve 8
    run=old_agent moves hugetlb "$PROGRAMS/text_check"
}

@test "cache: the same" {
    ready cache "$PROGRAMS/text_check_exec"
    old_agent HPPROF_OUT="$PWD/x.pb" HPPROF_SESSION="$PWD" ./program >out
    grep -E '^main inward_kib=([0-9]*) huge_kib=\1 differ=0$' out
    flock -w 20 ./*.pb true
    grep -aE "hpprof.remap backend=cache .* asked_kib=([0-9]*) huge_kib=\1 " ./*.pb
}

@test "hot: the same" {
    export HPPROF_REMAP_WHEN=hot
    old_agent HPPROF_REMAP=anon HPPROF_FREQ=997 HPPROF_OUT="$PWD/hot.pb" "$PROGRAMS/moved" work 2.5 >out
    grep -x '0 wrong' out
    profile_comments hot.pb | grep '^hpprof.remap .* when=hot .*image=.*/moved$' >moved
    check "$(comment_field huge_kib <moved | awk '{ n += $1 } END { print n + 0 }')" == "$(comment_field asked_kib <moved | awk '{ n += $1 } END { print n + 0 }')"
}

@test "auto: cold text comes on huge pages of its file as it is used, and nothing is moved" {
    file_moves file # or there are none here
    "$PROGRAMS/gen_text" . 16 >expected
    cc -no-pie -Wl,-z,max-page-size=0x200000 text.c -o generated
    cold generated
    # so often that samples come once all of it is there
    HPPROF_REMAP_WHEN=auto agent HPPROF_OUT="$PWD/generated.pb" HPPROF_FREQ=9999 ./generated 100 >out
    same expected out
    profile_comments generated.pb | grep -E '^hpprof.(remap|left)' | tee told
    check "$(sed -n 's/.*backend=file.* huge_kib=\([0-9]*\) .*/\1/p' told | awk '{ n += $1 } END { print n + 0 }')" '>=' 12288
    lacks told 'backend=(anon|memfd|cache)'
}

@test "file: text in small pages stays, and is told so" {
    cp "$PROGRAMS/text_check_large" program
    agent HPPROF_REMAP=file HPPROF_SESSION="$PWD" ./program >out
    grep -E '^main .* differ=0$' out
    grep -a "hpprof.left .*reason='" ./*.pb
}

@test "auto: what the file does not give, anon does" {
    agent HPPROF_REMAP=auto HPPROF_OUT="$PWD/x.pb" LD_PRELOAD="$AGENT $PROGRAMS/big_dso" "$PROGRAMS/text_check_large" >out
    cat out
    [ "$(grep -cE '^(main|big_dso) inward_kib=([0-9]*) huge_kib=\2 differ=0$' out)" -eq 2 ]
}

@test "memfd where anonymous memory may not become executable (PR_SET_MDWE), by itself" {
    "$PROGRAMS/deny" exec-gain 0 true || skip "the kernel has no PR_SET_MDWE"
    "$PROGRAMS/deny" exec-gain 0 env LD_PRELOAD="$AGENT" HPPROF_REMAP=auto "$PROGRAMS/text_check" >out
    cat out
    grep -E '^main inward_kib=([0-9]*) huge_kib=\1 differ=0$' out
}

# moved_flags BACKEND: VmFlags of what was moved of a program that says it runs, in the file flags; and what a fork
# child of it returns then, in out
moved_flags() {
    local try
    rm -f held
    mkfifo held
    : >out
    agent HPPROF_REMAP="$1" HPPROF_OUT="$PWD/$1.%p.pb" sh -c 'echo $$ >pid; exec "$0"' "$PROGRAMS/forks_moved" \
        <held >out 3>&- &
    exec 9>held
    for ((try = 0; try < 200; try++)); do
        ! grep -q ready out || break
        sleep 0.05
    done
    grep ready out
    awk '/^[0-9a-f]+-[0-9a-f]+ / { moved = $2 == "r-xp" && (/\(deleted\)$/ || $5 == 0 && $6 == "") }
        moved && /^VmFlags:/' "/proc/$(cat pid)/smaps" >flags
    echo >&9
    exec 9>&-
    wait $! || return
    cat flags out
}

@test "moved text is in no core dump, and fork children have it" {
    local backend
    for backend in anon memfd hugetlb; do
        [ $backend != hugetlb ] || reserve 8
        moved_flags $backend
        [ -s flags ]
        [ "$(grep -c ' dd ' flags)" -eq "$(wc -l <flags)" ]
        lacks flags ' dc '
        grep -x 'child: 0' out
    done
}

@test "moved text is the same image after another was loaded" {
    local backend
    for backend in anon memfd hugetlb; do
        [ $backend != hugetlb ] || reserve 8
        agent HPPROF_REMAP=$backend HPPROF_FREQ=997 HPPROF_OUT="$PWD/$backend.pb" \
            LD_PRELOAD="$AGENT $PROGRAMS/big_dso" "$PROGRAMS/late" run 0.3
        profile_comments $backend.pb | grep "^hpprof.remap backend=$backend .* image=.*/big_dso"
        profile_mappings $backend.pb | tee mappings
        [ "$(grep -c '/big_dso$' mappings)" -eq 1 ]
        grep '/late_plugin$' mappings
        lacks mappings 'memfd|huge|anon'
    done
}

@test "moved text is the same image after another was loaded, by cache" {
    cc -D_GNU_SOURCE -O1 -g -no-pie -fno-omit-frame-pointer -fno-optimize-sibling-calls "$ROOT/tests/programs/late.c" -o late -pthread
    cp "$PROGRAMS/late_plugin" .
    ready cache late
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" ./program run 0.3
    profile_comments x.pb | grep "^hpprof.remap backend=cache .* image=.*/program$"
    profile_mappings x.pb | tee mappings
    [ "$(grep -c '/program$' mappings)" -eq 1 ]
    grep '/late_plugin$' mappings
    lacks mappings '/text/'
}
