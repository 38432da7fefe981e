#!/usr/bin/env bats
# What a fresh machine relies on: missing packages are found and installed by name, the driver's count is
# honest, and an installed hpprof finds its agent.

load helper

setup() {
    hpprof_setup
    mkdir bin
    echo "echo apt-get \"\$@\" >>'$PWD/log'" >bin/apt-get
    echo 'echo "${TEST_USER:-0}"' >bin/id
    chmod +x bin/*
    local command
    for command in sh env cc ld pkg-config gcc cpp as uname; do
        ln -s "$(command -v "$command")" bin/
    done
}

# deps USER: deps.sh build on a machine that has no protoc-c; its exit status
deps() { TEST_USER=$1 PATH=$PWD/bin "$ROOT/scripts/deps.sh" build >out 2>&1; }

@test "missing packages: root installs them by name" {
    run deps 0
    [ "$status" -eq 1 ] # the apt-get of this test installs nothing
    cat log out
    grep -x 'apt-get update' log
    grep -xE 'apt-get install .* protobuf-c-compiler ?' log
    grep 'still missing .*protobuf-c-compiler' out
}

@test "missing packages: others are told what to type" {
    run deps 1000
    [ "$status" -eq 1 ]
    cat out
    grep -E 'apt-get install protobuf-c-compiler' out
    [ ! -e log ]
}

@test "nothing missing: nothing is installed" {
    ln -s "$(command -v protoc-c)" bin/
    deps 0
    [ ! -e log ] && [ ! -s out ]
}

@test "the driver counts: passed, failed, skipped though not allowed, and what ended too soon" {
    suite() { # suite NAME STATUS LINE...: a program that prints these lines
        printf '#!/bin/sh\ncat <<END\n%s\nEND\nexit %s\n' "$(printf '%s\n' "${@:3}")" "$2" >"b/tests/unit/test_$1"
        chmod +x "b/tests/unit/test_$1"
    }
    mkdir -p b/tests/unit
    suite good 0 1..2 'ok 1 - a' 'ok 2 - b'
    suite bad 1 1..2 'ok 1 - a' 'not ok 2 - b'
    suite skips 0 1..2 'ok 1 - a' 'ok 2 - b # skip for no good reason'
    suite short 0 1..2 'ok 1 - a'
    suite dies 139 1..1 'ok 1 - a'
    run "$ROOT/tests/run" "$PWD/b" tests/unit/test_{good,bad,skips,short,dies,none} /bin/true /bin/false
    echo "$output"
    [ "$status" -ne 0 ]
    [ "${lines[-1]}" = "7 passed, 6 failed" ]
    [ "$(cat b/tests/summary)" = "7 passed, 6 failed" ]
}

@test "make install: an installed record finds its agent; uninstall leaves nothing" {
    local build
    build=$(dirname "$AGENT")
    # -o all: what other tests run meanwhile is not built again, though BUILD may be spelled in another way
    make -C "$ROOT" -o all BUILD="$build" DESTDIR="$PWD/stage dir" PREFIX=/usr install
    "stage dir/usr/bin/hpprof" record -F 997 -o x.pb -- "$PROGRAMS/shares_fixed" 0.4
    check "$(profile_samples x.pb)" '>' 0
    grep '^\.Sh NAME$' "stage dir/usr/share/man/man1/hpprof.1" "stage dir/usr/share/man/man7/libhpprof.7"
    make -C "$ROOT" BUILD="$build" DESTDIR="$PWD/stage dir" PREFIX=/usr uninstall
    [ -z "$(find "stage dir" ! -type d)" ]
}
