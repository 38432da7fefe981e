#!/usr/bin/env bats
# Programs that change their own text, before, while and after it is moved.

load helper
load backends

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
}
teardown() { backends_release; }

# sum FIELD: of what comments tells of moves
sum() { comment_field "$1" <comments | awk '{ n += $1 } END { print n + 0 }'; }

# patches BACKEND: patches stay, and no call of the program's fails that would not without the agent
patches() {
    local when
    for when in start hot; do
        agent HPPROF_REMAP="$1" HPPROF_REMAP_WHEN=$when HPPROF_FREQ=997 HPPROF_OUT="$PWD/$when.pb" "$PROGRAMS/patches_text" 1.5 >$when.out
        cat $when.out
        grep -x '0 lost, 0 failed' $when.out
    done
    profile_comments start.pb | grep "^hpprof.remap backend=$1 .* image=.*/patches_text$"
}

@test "anon: a program patches its text" { patches anon; }
@test "memfd: a program patches its text" { patches memfd; }
@test "hugetlb: a program patches its text, and gives a page of it back; the profile tells what is on reserved pages then" {
    local when
    reserve 8
    patches hugetlb
    for when in start hot; do
        profile_comments $when.pb | grep -E '^hpprof.(remap|left|range) .* image=.*/patches_text$' | tee comments
        check $(($(sum huge_kib) - $(sum put_back_kib))) '==' "$(sed -n 's/^reserved_kib=//p' $when.out)"
    done
    hpprof report start.pb | grep -E 'patches_text: [0-9.]+ MiB of it on small pages again: the program changed a part of it$'
    hpprof report --json start.pb | jq -e --argjson kib "$(sed -n 's/^reserved_kib=//p' start.out)" \
        '.remap[0] | .huge_kib == $kib and .put_back_kib > 0 and .asked_kib == .huge_kib + .put_back_kib'
}

@test "what a program puts in the place of its text by mmap or mremap stays, while that text is moved" {
    local how call
    [ "$(uname -m)" = x86_64 ] || skip 'for x86-64 only'
    "$PROGRAMS/fail_call" "$AGENT" 0 0 /bin/true 2>err || skip "ptrace is not possible"
    for how in mmap mremap; do
        for call in mremap pread64; do
            agent HPPROF_REMAP=anon HPPROF_REMAP_WHEN=hot HPPROF_OUT="$PWD/$how.$call.pb" "$PROGRAMS/held_move" $how $call >out
            cat out
            grep -x 'held: 1, kept: 1' out
        done
    done
}
