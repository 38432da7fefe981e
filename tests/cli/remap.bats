#!/usr/bin/env bats
# What the remap must leave true: text on huge pages, the same bytes, never writable and executable.

load helper

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
}

# text_check [VARIABLE=VALUE…] COMMAND…: the program under the agent, its report in the file out
text_check() {
    agent HPPROF_OUT="$PWD/check.pb" HPPROF_REMAP=anon "$@" >out 2>err || {
        cat out err
        return 1
    }
    cat out err
    [ ! -s err ]
    grep -q '^all images=[0-9]* differ=0$' out
    grep -q '^writable_executable=0$' out
}

# all_huge IMAGE…: of these, at least 0.99 of the text that could be is on huge pages
all_huge() {
    local image inward huge
    for image; do
        inward=$(sed -n "s/^$image .*inward_kib=\([0-9]*\).*/\1/p" out)
        huge=$(sed -n "s/^$image .*huge_kib=\([0-9]*\).*/\1/p" out)
        check "${inward:-0}" '>=' 2048 "$image"
        check $((100 * huge)) '>=' $((99 * inward)) "$image"
    done
}

@test "a PIE: all its whole 2 MiB are huge, the bytes are the file's" {
    text_check "$PROGRAMS/text_check"
    all_huge main
}

@test "a program at a fixed address" {
    text_check "$PROGRAMS/text_check_exec"
    all_huge main
}

@test "shared objects too" {
    text_check LD_PRELOAD="$AGENT $PROGRAMS/big_dso" "$PROGRAMS/text_check"
    all_huge main big_dso
}

@test "the same without address space randomization" {
    text_check LD_PRELOAD="$AGENT $PROGRAMS/big_dso" setarch -R "$PROGRAMS/text_check"
    all_huge main big_dso
    text_check setarch -R "$PROGRAMS/text_check_exec"
    all_huge main
}

@test "a program started through the dynamic loader" {
    local loader
    loader=$(readelf -lW "$PROGRAMS/text_check" | sed -n 's/.*interpreter: \(.*\)]/\1/p')
    agent HPPROF_REMAP=anon "$loader" "$PROGRAMS/shares_fixed" 0.1 >out
    grep -q alpha_work out
}

@test "repeated at twenty addresses that the kernel draws" {
    for _ in {1..20}; do
        text_check "$PROGRAMS/text_check"
        all_huge main
    done
}

@test "the agent's mremap calls; no page is ever writable and executable" {
    strace -o /dev/null true 2>err || skip "ptrace is not possible"
    strace -f -e trace=mmap,mprotect,pkey_mprotect,mremap,shmat -o log -E LD_PRELOAD="$AGENT" -E HPPROF_REMAP=anon \
        "$PROGRAMS/text_check" >out
    all_huge main
    grep -E 'mremap\(.*MREMAP_FIXED.* = 0x' log
    grep -c mmap log
    lacks log 'PROT_WRITE\|PROT_EXEC|PROT_EXEC\|PROT_WRITE|SHM_EXEC'
}

@test "64 MiB of generated text: every function is called after the swap, the checksum is the generator's" {
    "$PROGRAMS/gen_text" . 64 >expected
    cc text.c -o big
    cc -no-pie text.c -o big_exec
    for program in ./big ./big_exec; do
        "$program" >out 2>err
        same expected out
        grep -qx 'huge_kib=0' err
        agent HPPROF_REMAP=anon HPPROF_OUT="$PWD/big.pb" "$program" >out 2>err
        same expected out
        cat err
        check "$(sed -n 's/huge_kib=//p' err)" '>=' $((62 * 1024)) "$program"
    done
}

@test "the profile tells of each range: backend, KiB asked, KiB truly huge, ms" {
    agent HPPROF_REMAP=anon HPPROF_FREQ=997 HPPROF_OUT="$PWD/moved.pb" LD_PRELOAD="$AGENT $PROGRAMS/big_dso" \
        "$PROGRAMS/shares_fixed" 0.4
    profile_comments moved.pb | tee comments
    grep -E '^hpprof.remap backend=anon start=0x[0-9a-f]+ end=0x[0-9a-f]+ asked_kib=[0-9]+ huge_kib=[0-9]+ ms=[0-9.]+ when=start image=/.*/shares_fixed$' comments
    grep -E '^hpprof.remap backend=anon .* image=/.*/big_dso$' comments
    check "$(grep '/big_dso$' comments | comment_field asked_kib)" '>=' 10240
    check "$(grep '/big_dso$' comments | comment_field huge_kib)" '==' "$(grep '/big_dso$' comments | comment_field asked_kib)"
}

@test "moved or not, each executable segment is one mapping: path, offset in the file, build-id" {
    local remap offset id
    offset=$(readelf -lW "$PROGRAMS/shares_fixed" | awk '$1 == "LOAD" && / R E / { print $2 }')
    id=$(readelf -n "$PROGRAMS/shares_fixed" | sed -n 's/.*Build ID: //p')
    for remap in off anon; do
        agent HPPROF_REMAP=$remap HPPROF_FREQ=997 HPPROF_OUT="$PWD/$remap.pb" "$PROGRAMS/shares_fixed" 0.4
        profile_mappings $remap.pb | tee $remap.mappings
        [ "$(head -1 $remap.mappings)" = "$((offset)) $id $PROGRAMS/shares_fixed" ]
        [ "$(grep -c "/shares_fixed\$" $remap.mappings)" -eq 1 ]
        grep -E '^0 [0-9a-f]{40} \[vdso\]$' $remap.mappings
        lacks $remap.mappings ' (//anon)?$'
    done
    same off.mappings anon.mappings
}

@test "HPPROF_REMAP_MATCH, _MIN and _MAX choose what is moved" {
    local both="$AGENT $PROGRAMS/big_dso"
    text_check LD_PRELOAD="$both" HPPROF_REMAP_MATCH='*/big_dso' "$PROGRAMS/text_check"
    all_huge big_dso
    grep '^main .*huge_kib=0 ' out
    text_check LD_PRELOAD="$both" HPPROF_REMAP_MIN=6M "$PROGRAMS/text_check"
    all_huge big_dso
    grep '^main .*huge_kib=0 ' out
    text_check LD_PRELOAD="$both" HPPROF_REMAP_MAX=0 "$PROGRAMS/text_check"
    grep '^main .*huge_kib=0 ' out
    grep '^big_dso .*huge_kib=0 ' out
    text_check LD_PRELOAD="$both" HPPROF_REMAP_MAX=6M "$PROGRAMS/text_check"
    check "$(sed -n 's/.*huge_kib=\([0-9]*\).*/\1/p' out | awk '{ n += $1 } END { print n }')" '<=' 6144
}

@test "off: nothing is moved" {
    text_check HPPROF_REMAP=off LD_PRELOAD="$AGENT $PROGRAMS/big_dso" "$PROGRAMS/text_check"
    grep '^main .*huge_kib=0 ' out
    grep '^big_dso .*huge_kib=0 ' out
}

@test "text that differs from the file (text relocations) is left alone, and the profile says so" {
    "$PROGRAMS/textrel" 0.01 >expected
    grep -x '8 words right, then 8' expected
    agent HPPROF_REMAP=anon HPPROF_FREQ=997 HPPROF_OUT="$PWD/textrel.pb" "$PROGRAMS/textrel" >out
    same expected out
    profile_comments textrel.pb | tee comments
    grep -E '^hpprof.left eligible_kib=[0-9]+ reason=.* image=/.*/textrel$' comments
}

@test "text that is writable is left alone, and the profile says so" {
    agent HPPROF_REMAP=anon HPPROF_FREQ=997 HPPROF_OUT="$PWD/writable.pb" "$PROGRAMS/writable_text" >out
    grep -x 'wrote to its text' out
    profile_comments writable.pb | tee comments
    grep -E '^hpprof.left eligible_kib=[0-9]+ reason=.*writable.* image=/.*/writable_text$' comments
}

@test "a program whose path has become a FIFO" {
    cp "$PROGRAMS/shares_fixed" program
    exec 9<program
    rm program
    mkfifo program
    agent HPPROF_REMAP=anon /proc/self/fd/9 0.1 >out
    exec 9<&-
    grep alpha_work out
}
