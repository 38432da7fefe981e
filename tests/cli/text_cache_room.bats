#!/usr/bin/env bats
# Where copies of text are kept: hpprof cache mount, and what becomes of them where there is little room.

load helper
load profiles
load text_cache

setup() { text_cache_setup; }
teardown() { exec 9>&-; }

@test "a full file system, and one that may not be written to: warm says so, and leaves nothing" {
    unshare -m true 2>/dev/null || skip "cannot make a mount namespace"
    mkdir small
    cat >in_namespace <<'END'
mount -t tmpfs -o size=3m none small
status=0
"$HPPROF_COMMAND" cache --text warm --text-cache="$PWD/small/text" "$1" || status=$?
ls -A small
mount -o remount,ro small
"$HPPROF_COMMAND" cache --text warm --text-cache="$PWD/small/text2" "$1" && status=0
exit $status
END
    status=0
    unshare -m bash in_namespace "$TARGET" >out 2>err || status=$?
    cat out err
    [ "$status" -eq 1 ]
    grep -x "hpprof: $TARGET: No space left on device" err
    grep -x "hpprof: $PWD/small/text2: Read-only file system" err
    lacks out '^text'
}

@test "mount: a tmpfs with huge pages; where it is not allowed, that is said" {
    unshare -m true 2>/dev/null || skip "cannot make a mount namespace"
    cat >in_namespace <<'END'
set -e
"$HPPROF_COMMAND" cache mount --text-cache-max=64M "$PWD/huge"
"$HPPROF_COMMAND" cache --text warm --text-cache="$PWD/huge" "$1"
export HPPROF_TEXT_CACHE=$PWD/huge HPPROF_REMAP=cache HPPROF_OUT=$PWD/x.pb HPPROF_FREQ=9999 HPPROF_MAX_CPU=0
mount -o remount,ro "$PWD/huge" # a cache is only read
LD_PRELOAD=$AGENT "$1"
END
    unshare -m bash in_namespace "$TARGET" | tee out
    grep -E "^$PWD/huge: a tmpfs of at most 64.0M bytes on huge pages" out
    is_huge
    [ "$(id -u)" -eq 0 ] || return 0
    mkdir -m 755 own
    fails 1 "hpprof: $PWD/own: mounting is not allowed here" \
        setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$HPPROF_COMMAND" cache mount "$PWD/own"
}

@test "mount: hides nothing, and has a size" {
    unshare -m true 2>/dev/null || skip "cannot make a mount namespace"
    cat >in_namespace <<'END'
"$HPPROF_COMMAND" cache mount --text-cache-max=64M "$PWD/huge"
"$HPPROF_COMMAND" cache mount --text-cache-max=64M "$PWD/huge" && exit 1
mkdir some
touch some/file
"$HPPROF_COMMAND" cache mount --text-cache-max=64M "$PWD/some" && exit 2
ls some
for size in 0 2047K; do
    "$HPPROF_COMMAND" cache mount --text-cache-max=$size "$PWD/none"
    [ $? -eq 2 ] || exit 3
done
[ ! -e none ]
"$HPPROF_COMMAND" cache mount --tables "$PWD/none"
[ $? -eq 2 ] || exit 4
"$HPPROF_COMMAND" cache mount "$PWD/a/b/c/d"
[ $? -eq 1 ] || exit 5
mkdir empty
ln -s empty link
"$HPPROF_COMMAND" cache mount "$PWD/link" && exit 6
! mountpoint -q empty
END
    unshare -m bash in_namespace >out 2>err
    cat out err
    grep -x "hpprof: $PWD/huge: something is mounted there already: .*" err
    grep -x "hpprof: $PWD/some: it is not empty, and what is in it would be hidden: .*" err
    grep -x "hpprof: $PWD/link: it is a symbolic link, or no folder" err
    grep -x file out
    grep -x 'hpprof: cache mount: it is for copies of text, not for --tables' err
    grep -x "hpprof: $PWD/a/b/c/d: more than the last three folders of it are missing: make those above it first" err
    [ "$(grep -cx 'hpprof: cache mount: --text-cache-max is less than one huge page, 2M' err)" -eq 2 ]
}

@test "a small file system is the limit: the least recently used go there too" {
    unshare -m true 2>/dev/null || skip "cannot make a mount namespace"
    for number in 1 2 3; do
        big_program p$number 0$number
    done
    cat >in_namespace <<'END'
set -e
mount_it() { "$HPPROF_COMMAND" cache mount --text-cache-max="$1" "$PWD/huge"; }
list() { "$HPPROF_COMMAND" cache --text list --text-cache="$PWD/huge"; }
warm() { "$HPPROF_COMMAND" cache --text warm --text-cache="$PWD/huge" "$@"; }
mount_it 16M
warm "$PWD/p1"
warm "$PWD/p2" "$PWD/p3"
list
umount huge
# nothing that another one needs goes for what can never fit
mount_it 8M
warm "$PWD/p1"
cat p1 p1 >large
! warm "$PWD/large" || exit 1
list
# it fits beside the first, but somebody else's file takes the room
umount huge
mount_it 15M
head -c 6M /dev/zero >huge/other
warm "$PWD/p1"
warm "$PWD/p2"
list
END
    unshare -m bash in_namespace >out 2>err
    cat out err
    [ "$(grep -o ' p[123]$' out | tr -d ' \n')" = p3p2p1p2 ]
    grep -E '^2 copies, .* of at most 16.0M bytes, in ' out
    grep -E '^1 copy, .* of at most 8.0M bytes, in ' out
    grep -E '^1 copy, .* of at most 15.0M bytes, in ' out
    [ "$(cat err)" = "hpprof: $PWD/large: No space left on device" ]
}

@test "no more than --text-cache-max: the least recently used go, never one in use" {
    for number in 1 2 3 4; do
        big_program p$number 0$number
    done
    size=$(stat -c %s p1)
    warm "$PWD/p1"
    warm "$PWD/p2"
    hold ./p1
    hpprof cache --text list | tee out
    grep -E ' \* p1$' out
    lacks out '\* p2$'
    warm --text-cache-max=$((2 * size + size / 2)) "$PWD/p3"
    hpprof cache --text list | tee out
    grep -E ' p1$' out
    grep -E ' p3$' out
    lacks out ' p2$'
    fails 1 "does not fit beside the copies that processes have mapped" \
        hpprof cache --text warm --text-cache-max=$((size + size / 2)) "$PWD/p4"
    fails 1 "it is larger than the cache may be" hpprof cache --text warm --text-cache-max=$((size / 2)) "$PWD/p4"
    let_go
    # p1 was mapped last
    warm "$PWD/p2"
    hold ./p1
    let_go
    warm --text-cache-max=$((2 * size + size / 2)) "$PWD/p4"
    hpprof cache --text list | tee out
    lacks out ' p3$'
    grep -E ' p4$' out
}

# slow_program FILE: one whose copy takes a moment
slow_program() {
    cp "$PROGRAMS/text_check_large" "$1"
    truncate -s 200M "$1"
}

no_partial() { [ -z "$(find "$TEXT" -mindepth 1 -maxdepth 1 -name '*.*')" ]; }

@test "two that warm at once: one copy" {
    warm "$TARGET"
    slow_program slow
    hpprof cache --text warm "$PWD/slow" >one 3>&- &
    first=$!
    hpprof cache --text warm "$PWD/slow" >two 3>&- &
    second=$!
    wait $first
    wait $second
    cat one two
    [ "$(cat one two | grep -c '^1 made, 0 already there, 0 failed, in ')" -eq 1 ]
    [ "$(cat one two | grep -c '^0 made, 1 already there, 0 failed, in ')" -eq 1 ]
    hpprof cache --text verify | grep '^2 sound, 0 not used, in '
    no_partial
}

@test "one that is killed while it warms: half a copy is none, and the next one removes it" {
    warm "$TARGET"
    slow_program slow
    seen=
    for _ in {1..5}; do
        "$HPPROF_COMMAND" cache --text warm "$PWD/slow" >killed 3>&- &
        pid=$!
        while kill -0 $pid 2>/dev/null && [ -z "$seen" ]; do
            no_partial || seen=1
        done
        kill -KILL $pid 2>/dev/null || true
        wait $pid || true
        [ ! -s killed ] || seen= # it was done before it could be killed
        [ -z "$seen" ] || break
        hpprof cache --text clear
        warm "$TARGET"
    done
    ls -A "$TEXT"
    [ -n "$seen" ]
    [ ! -s killed ]
    hpprof cache --text list | grep '^1 copy, '
    hpprof cache --text verify | grep '^1 sound, 0 not used, in '
    moved ./slow
    grep "^hpprof.left .*reason='the cache has no copy of it' image=.*/slow$" comments
    warm "$PWD/slow"
    grep -q ': copied, ' out
    no_partial
    hpprof cache --text verify | grep '^2 sound, 0 not used, in '
}
