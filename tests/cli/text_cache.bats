#!/usr/bin/env bats
# Copies of text: what hpprof cache --text makes, keeps and refuses, and what a program gets of it.

load helper
load profiles
load text_cache

setup() { text_cache_setup; }
teardown() { exec 9>&-; }

# left REASON: nothing was moved, and that is why
left() {
    grep -E '^main .*huge_kib=0 differ=0$' out
    grep -E "^hpprof.left eligible_kib=[0-9]+ reason=.*$1.* image=.*/text_check_exec\$" comments
}

entry() { echo "$TEXT"/*-*; }

@test "warm, list, verify, clear" {
    warm "$TARGET" /bin/sh
    grep -qE '^.*/text_check_exec: copied, [0-9]+ of [0-9]+ KiB of text on huge pages$' out
    grep -qx '/bin/sh: passed over: no whole aligned 2 MiB of text' out
    [ "$(tail -n 1 out)" = "1 made, 0 already there, 0 failed, in $TEXT" ]
    cmp "$TARGET" "$(entry)/text_check_exec"
    [ "$(stat -c %a "$(entry)/text_check_exec")" = 444 ]
    [ "$(stat -c %a "$(entry)")" = 755 ]
    warm "$TARGET"
    [ "$(tail -n 1 out)" = "0 made, 1 already there, 0 failed, in $TEXT" ]
    id=$(readelf -n "$TARGET" | sed -n 's/.*Build ID: //p')
    hpprof cache --text list | tee out
    grep -qE "^$id +[0-9.]+M  $(date +%Y)-[0-9-]+   text_check_exec$" out
    grep -qE "^1 copy, .* of at most 2.0G bytes, in $TEXT$" out
    awk 'length($0) > 80 { print; long = 1 } END { exit long }' <(head -n -1 out)
    hpprof cache --text verify >out
    grep -qx "$TARGET: the same as its copy" out
    grep -qx "1 sound, 0 not used, in $TEXT" out
    hpprof cache --text verify "$TARGET" | grep "^$TARGET: the same as its copy, [0-9]* of"
    hpprof cache --text clear | grep -qE "^removed 1 copy, .* bytes, from $TEXT$"
    [ -z "$(ls -A "$TEXT")" ]
}

@test "without --text or --tables: both" {
    warm "$TARGET"
    hpprof cache clear >out
    grep -E '^removed 1 copy, ' out
    hpprof cache warm "$TARGET" >out
    cat out
    [ "$(grep -c '^1 made, 0 already there, 0 failed, in ' out)" -eq 2 ]
    [ "$(hpprof cache list | grep -cE '^1 (table|copy), ')" -eq 2 ]
    [ "$(hpprof cache verify "$TARGET" | grep -c '^1 sound, 0 not used, in ')" -eq 2 ]
    [ "$(hpprof cache --tables list | grep -cE '^[01] (table|cop)')" -eq 1 ]
    # small text is not worth a word, and copies that nobody wants are none
    hpprof cache warm /bin/sh | lacks /dev/stdin 'passed over'
    hpprof cache verify --text-cache=off | lacks /dev/stdin "$TEXT"
    hpprof cache clear | grep -E '^removed 1 copy, '
}

@test "a user who names no folder gets tables alone, and is told" {
    [ "$(id -u)" -eq 0 ] || skip "only root can become another user"
    shared=$(mktemp -d "${TMPDIR:-/tmp}/hpprof-tests.XXXXXX")
    chown 65534 "$shared"
    cp "$TARGET" "$HPPROF_COMMAND" "$shared"
    setpriv --reuid 65534 --clear-groups env -u HPPROF_TEXT_CACHE HPPROF_CACHE="$shared/tables" \
        "$shared/hpprof" cache warm "$shared/text_check_exec" >out
    rm -r "$shared"
    cat out
    grep '^1 made, 0 already there, 0 failed, in .*/tables/unwind$' out
    grep '^text is not copied: only root fills /var/cache/hpprof/text' out
}

@test "no cache yet: nothing is made of itself" {
    hpprof cache --text list | grep -qx "0 copies, 0 of at most 2.0G bytes, in $TEXT"
    hpprof cache --text verify | grep -qx "0 sound, 0 not used, in $TEXT"
    hpprof cache --text clear | grep -qx "removed 0 copies, 0 bytes, from $TEXT"
    moved "$TARGET"
    left 'there is no cache of text'
    fails 1 'hpprof: missing: No such file or directory' hpprof cache --text warm missing
    hpprof cache --text warm /bin/sh | grep '^0 made, 0 already there, 0 failed, '
    [ ! -e "$TEXT" ]
    fails 1 "HPPROF_TEXT_CACHE is off" hpprof cache --text list --text-cache=off
    fails 1 'more than the last three folders of it are missing' \
        hpprof cache --text warm --text-cache="$PWD/a/b/c/d" "$TARGET"
    fails 2 'HPPROF_TEXT_CACHE_MAX=x is not allowed, only 0..1024G bytes (K, M, G)' \
        env HPPROF_TEXT_CACHE_MAX=x "$HPPROF_COMMAND" cache --text list
    fails 2 "'here' is not allowed, only off or an absolute path" hpprof cache --text list --text-cache=here
    moved HPPROF_TEXT_CACHE=off "$TARGET"
    left 'HPPROF_TEXT_CACHE is off'
}

@test "a program's text lies on the copy's huge pages; its names stay" {
    warm "$TARGET"
    moved "$TARGET"
    is_huge
    grep -E '^hpprof.remap backend=cache .* image=.*/text_check_exec$' comments
    cp "$PROGRAMS/shares_fixed" worker
    warm "$PWD/worker"
    agent HPPROF_REMAP=transparent HPPROF_FREQ=997 HPPROF_OUT="$PWD/y.pb" ./worker 0.4
    profile_folded y.pb | tee folded
    check "$(folded_weight 'alpha_work$' <folded)" '>=' 20
    profile_mappings y.pb >mappings
    lacks mappings "$TEXT"
}

@test "auto: text whose copy is in memory lies on it before main; without one nothing is looked at" {
    TARGET=$PROGRAMS/text_check_exec # old enough for its times to tell that it has not changed
    warm "$TARGET"
    moved HPPROF_REMAP=auto "$TARGET"
    is_huge
    grep -E '^hpprof.remap backend=cache .* when=start image=.*/text_check_exec$' comments
    moved HPPROF_REMAP=auto HPPROF_TEXT_CACHE=off "$TARGET"
    left 'the process used less than a CPU-second'
    moved HPPROF_REMAP=auto HPPROF_REMAP_WHEN=hot "$TARGET"
    left 'the process used less than a CPU-second'
    # a fork child runs on it
    cp "$PROGRAMS/forks_moved" forks
    warm "$PWD/forks"
    echo | agent HPPROF_REMAP=cache HPPROF_SESSION="$PWD" ./forks >out
    grep -a 'hpprof.remap backend=cache .*/forks' ./*.pb
    grep -x 'child: 0' out
}

# its_pss PID: KiB of the copies it has mapped, shared pages in proportion
its_pss() {
    awk -v text="$TEXT/" '/^[0-9a-f]+-[0-9a-f]+ / { inside = index($0, text) } inside && /^Pss:/ { n += $2 } END { print n + 0 }' \
        "/proc/$1/smaps"
}

@test "two processes share it" {
    big_program big 01010101
    warm "$PWD/big"
    hold ./big
    first=${process:?}
    check "$(its_pss "$first")" '==' 4096
    hold ./big
    check "$(its_pss "$first")" '==' 2048
    check "$(its_pss "${process:?}")" '==' 2048
    let_go
}

@test "written to since, cut short, or made by somebody else: refused, and it says so" {
    warm "$TARGET"
    copy=$(entry)/text_check_exec
    times=$(stat -c %Y "$copy")
    chmod u+w "$copy"
    printf '\001' | dd of="$copy" bs=1 seek=3000000 conv=notrunc 2>/dev/null
    chmod 444 "$copy"
    touch -d "@$times" "$copy"
    moved "$TARGET"
    left 'it was changed after it was made'
    fails 1 "hpprof: $(entry | sed 's/[.]/\\./g'): it was changed after it was made" hpprof cache --text verify
    hpprof cache --text list | grep 'it was changed after it was made'
    warm "$TARGET" # replaced
    grep -q ': copied' out
    moved "$TARGET"
    is_huge

    chmod u+w "$(entry)/text_check_exec"
    truncate -s 3M "$(entry)/text_check_exec"
    chmod 444 "$(entry)/text_check_exec"
    moved "$TARGET"
    left 'it was changed after it was made'
    hpprof cache --text clear
    warm "$TARGET"
    chmod 644 "$(entry)/text_check_exec"
    moved "$TARGET"
    left 'it may be written to'
    hpprof cache --text clear
    warm "$TARGET"
    chmod o+w "$TEXT"
    moved "$TARGET"
    left 'others may write to the folder'
    fails 1 "hpprof: $TEXT is not used: others may write to the folder" hpprof cache --text warm "$TARGET"
}

@test "a copy, or a folder above it, of another user is not used" {
    [ "$(id -u)" -eq 0 ] || skip "only root can give files away"
    warm "$TARGET"
    chown 65534 "$(entry)/text_check_exec"
    moved "$TARGET"
    left 'it belongs to another user'
    hpprof cache --text clear
    mkdir above
    warm --text-cache="$PWD/above/text" "$TARGET"
    moved HPPROF_TEXT_CACHE="$PWD/above/text" "$TARGET"
    is_huge
    chown 65534 above
    moved HPPROF_TEXT_CACHE="$PWD/above/text" "$TARGET"
    left 'a folder above it belongs to another user'
}

@test "contents that nobody noted a change of: verify finds them by their hash" {
    warm "$TARGET"
    # as if a disk had failed: the record says that these times and this size are right
    copy=$(entry)/text_check_exec record=$(entry)/.record
    chmod u+w "$copy"
    printf '\001' | dd of="$copy" bs=1 seek=3000000 conv=notrunc 2>/dev/null
    chmod 444 "$copy"
    chmod u+w "$record"
    python3 - "$copy" "$record" <<'END' || skip "no python3"
import os, struct, sys
s = os.stat(sys.argv[1])
with open(sys.argv[2], "r+b") as f:
    f.seek(8 + 5 * 8)
    f.write(struct.pack("<QQQqq", 0, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
END
    chmod 444 "$record"
    fails 1 "hpprof: $(entry | sed 's/[.]/\\./g'): its contents are not what was copied" hpprof cache --text verify
}

@test "the original is replaced: by other bytes of the same build-id they are compared, by another build not found" {
    warm "$TARGET"
    # another file with the same text: moved, by comparing
    cp "$TARGET" again && mv again "$TARGET"
    moved "$TARGET"
    is_huge
    # the same build-id, other text
    printf '\001' | dd of="$TARGET" bs=1 seek=3000000 conv=notrunc 2>/dev/null
    moved "$TARGET"
    grep -E "^hpprof.left .*differs from the file" comments
    fails 1 "hpprof: $TARGET: its copy has other contents" hpprof cache --text verify "$TARGET"
    grep -qx "$TARGET: its original is another file now" out
    # another build
    cc -no-pie -Wl,--build-id=0x0102030405060708 -x c - -o other <<<'int main(void) { return 0; }'
    mv other "$TARGET"
    hpprof cache --text verify | grep -x "$TARGET: its original is another file now"
}
