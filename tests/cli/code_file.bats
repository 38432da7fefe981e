#!/usr/bin/env bats
# Code in files of its own, which change while it runs: it is always what it would be without the agent.

load helper

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
    [ "$(uname -m)" = x86_64 ] || skip "for x86-64 only"
}

# works BACKEND COMMAND…: COMMAND, which runs code_file, says that nothing was wrong; what of its code moved is in comments
works() {
    rm -f x.pb
    "${@:2}" timeout -k 1 60 env LD_PRELOAD="$AGENT" HPPROF_REMAP="$1" HPPROF_REMAP_WHEN=hot HPPROF_FREQ=997 \
        HPPROF_OUT="$PWD/x.pb" "${work[@]}" >out
    cat out
    grep -x '0 wrong' out
    profile_comments x.pb | sed -nE '/^hpprof.(remap|left) .*\/code$/p' | tee comments
}

@test "code that is written to by another mapping stays" {
    local work=("$PROGRAMS/code_file" shared code)
    for backend in anon memfd; do
        "$PROGRAMS/code_file" write code 7
        works $backend
        lacks comments '^hpprof.remap '
        grep "^hpprof.left .*reason='part of it is writable or not the file's'" comments
    done
}

# in_overlay COMMAND…: in a mount namespace of its own, merged is lower with upper on top
in_overlay() {
    rm -rf upper hidden
    mkdir -p upper hidden merged
    unshare -rm bash -c 'mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=hidden overlay merged && exec "$@"' - "$@"
}

@test "code whose file was written to in an overlay, which keeps the name and number, stays as it is" {
    unshare -rm true || skip "cannot make a mount namespace"
    local work=("$PROGRAMS/code_file" private merged/code 'cat other >merged/code')
    mkdir lower
    "$PROGRAMS/code_file" write lower/code 7
    "$PROGRAMS/code_file" write other 8
    in_overlay true || skip "no overlay can be mounted"
    for backend in anon memfd; do
        works $backend in_overlay
        lacks comments '^hpprof.remap '
        grep "^hpprof.left .*reason='the text in memory differs from the file'" comments
    done
}

@test "code that is patched while it moves has every patch" {
    local work=("$PROGRAMS/code_file" patched code)
    for backend in anon memfd anon memfd; do
        "$PROGRAMS/code_file" write code 7
        works $backend
    done
}

@test "code that nobody writes to moves" {
    local work=("$PROGRAMS/code_file" private code true)
    "$PROGRAMS/code_file" write code 7
    works anon
    grep '^hpprof.remap ' comments
}

@test "code that the program has pinned moves, and is still pinned" {
    local work=("$PROGRAMS/code_file" locked code)
    for backend in anon memfd; do
        "$PROGRAMS/code_file" write code 7
        "${work[@]}" >out
        ! grep -x 'not locked' out || skip "RLIMIT_MEMLOCK cannot be 8192"
        works $backend
        grep -x '8192 KiB locked' out
    done
}
