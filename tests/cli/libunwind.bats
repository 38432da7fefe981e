#!/usr/bin/env bats
# HPPROF_UNWIND=libunwind: whole stacks where there are no frame pointers, and none of libunwind's hazards.

load helper

setup() {
    hpprof_setup
}

# sampled MODE SECONDS: the program's profiles are out.pb and out.d/*
sampled() {
    run agent HPPROF_UNWIND=libunwind HPPROF_FREQ=997 HPPROF_OUT="$PWD/out.pb" "$PROGRAMS/no_frames" "$@"
    [ "$status" -eq 0 ]
    [ "$(profile_comments out.pb | comment_field unwind)" = libunwind ]
    profile_folded out.pb >folded
    sort -k2nr folded | head
}

readonly CHAIN='second;third;third;third;third;third;third;third;fourth;bottom'

@test "stacks without frame pointers are whole" {
    sampled deep 2
    [ "$output" = "done" ]
    check "$(folded_share "^main;work;$CHAIN" <folded)" '>=' 99
}

@test "and so are those of threads" {
    sampled threads 0.5
    check "$(folded_share "^work;$CHAIN" <folded)" '>=' 99
}

@test "while other threads load and unload libraries" {
    sampled loader 1.5
    [ "$output" = "done" ]
    check "$(folded_share "^work;$CHAIN" <folded)" '>=' 20
    # between two looks at the memory map a library's code is not known
    check "$(folded_weight '^load;.*plugin' <folded)" '>' 0
}

@test "while the first of several threads forks" {
    sampled forks 1
    [ "$output" = "done" ]
    check "$(folded_share "^work;$CHAIN" <folded)" '>=' 90
    hpprof merge -o children.pb out.d/*.pb
    profile_folded children.pb >folded
    check "$(folded_share "^main;$CHAIN" <folded)" '>=' 90
}

@test "a program's file that has the number of libunwind's pipe stays as it is" {
    sampled files 0.5
    [ -z "$output" ]
    check "$(profile_comments out.pb | grep '^hpprof.lost' | comment_field not_libunwind | awk '{ n += $1 } END { print n + 0 }')" '>' 50
}

@test "the lowest descriptors are the program's" {
    # shellcheck disable=SC2016 # for the shell that is started
    run agent HPPROF_UNWIND=libunwind HPPROF_OUT="$PWD/out.pb" bash -c 'exec 9<&-; ls /proc/$$/fd' 3>&-
    echo "$output"
    [ "$(grep -cvx '[2-9][0-9][0-9]' <<<"$output")" = "$(bash -c 'exec 9<&-; ls /proc/$$/fd' 3>&- | grep -cvx '[2-9][0-9][0-9]')" ]
}

@test "no libunwind: one line, and auto" {
    mkdir libraries
    echo nothing >libraries/libunwind.so.8
    run agent LD_LIBRARY_PATH="$PWD/libraries" HPPROF_UNWIND=libunwind HPPROF_FREQ=997 HPPROF_OUT="$PWD/out.pb" \
        "$PROGRAMS/no_frames" deep 0.3
    [ "$status" -eq 0 ]
    [ "$output" = 'hpprof: HPPROF_UNWIND=libunwind: libunwind.so.8 cannot be loaded; install it (Debian: libunwind8); auto is used
done' ]
    [ "$(profile_comments out.pb | comment_field unwind)" = auto ]
}

@test "one that is too old: one line, and auto" {
    mkdir libraries
    echo 'int nothing;' | cc -xc - -shared -fPIC -o libraries/libunwind.so.8
    run agent LD_LIBRARY_PATH="$PWD/libraries" HPPROF_UNWIND=libunwind "$PROGRAMS/no_frames" deep 0.3
    [ "$status" -eq 0 ]
    [ "$output" = 'hpprof: HPPROF_UNWIND=libunwind: libunwind.so.8 is too old; version 1.3 or newer is needed; auto is used
done' ]
}
