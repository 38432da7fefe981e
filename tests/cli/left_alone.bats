#!/usr/bin/env bats
# Programs that the agent cannot reach, or whose text it must not touch: they behave as without it, and record says why.

load helper

setup() {
    hpprof_setup
    cat >program.c <<'END'
#include "burn.h"
#include "padding.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
BURN_FUNCTION(work, 3)
static void *in_thread(void *memory)
{
    work(0.1);
    return memory;
}
int main(int argc, char **argv)
{
    pthread_t thread;
    void *memory = malloc(10);
    work(0.2);
    if (!pthread_create(&thread, NULL, in_thread, memory))
        pthread_join(thread, NULL);
    if (argc > 1) {
        ((volatile char *)memory)[atoi(argv[1])] = 1;
        printf("%d\n", atoi(argv[1]) + 2147483647);
    }
    puts("done");
    free(memory);
    return 3;
}
END
}

compiles() { cc -g -O1 -I "$ROOT/tests/programs" program.c -o program -pthread "$@" 2>err; }

# as_plain ARGUMENT…: ./program is the same under record, whose summary is in said
as_plain() {
    local status=0 plain=0
    ./program "$@" >plain.out 2>plain.err || plain=$?
    hpprof record -o x.pb --remap-when=start --remap=anon ./program "$@" >out 2>said || status=$?
    cat out said
    [ $status -eq $plain ]
    same plain.out out
}

# sanitized NAME: its text stays, and record says so
sanitized() {
    compiles "-fsanitize=$1" || skip "no sanitizer for $1"
    ./program >out 2>&1 || [ $? -eq 3 ] || skip "no sanitizer for $1"
    as_plain
    if [ "$1" = thread ]; then
        grep -x 'hpprof: ./program is built with ThreadSanitizer; it was left alone' said
        [ ! -e x.pb ]
        return
    fi
    profile_folded x.pb >folded
    has_samples folded 10
    lacks <(profile_comments x.pb) '^hpprof.remap '
    ! huge_pages_on || grep -E '^ *program: [0-9.]+ MiB left: the program is built with a sanitizer$' said
}

@test "AddressSanitizer: the text stays, and a fault is found" {
    sanitized address
    as_plain 10
    grep 'AddressSanitizer: heap-buffer-overflow' said
    # while it runs
    ASAN_OPTIONS=verify_asan_link_order=0 HPPROF_REMAP_WHEN=hot HPPROF_OUT="$PWD/hot.pb" agent ./program >out || [ $? -eq 3 ]
    grep -x 'done' out
    profile_comments hot.pb | grep "^hpprof.left .*reason='the program is built with a sanitizer'"
}
@test "ThreadSanitizer: the agent does nothing" { sanitized thread; }
@test "UndefinedBehaviorSanitizer: the text stays, and a fault is found" {
    sanitized undefined
    as_plain 9
    grep 'signed integer overflow' said
}
@test "LeakSanitizer: the text stays" { sanitized leak; }

@test "static programs, with a fixed address and without" {
    local how
    for how in -static -static-pie; do
        compiles $how || skip "no static libc"
        as_plain
        grep -x 'hpprof: ./program is linked statically: LD_PRELOAD does not reach it; it was left alone' said
        [ ! -e x.pb ]
    done
}

@test "programs of 32 bits" {
    compiles -m32 || skip "no libc of 32 bits"
    as_plain
    grep -x 'hpprof: ./program is a program of 32 bits: LD_PRELOAD does not reach it; it was left alone' said
}

@test "set-user-id programs" {
    [ "$(id -u)" -eq 0 ] || skip "only root can give files away"
    compiles
    chown 65534 program
    chmod u+s program
    as_plain
    grep -x 'hpprof: ./program runs with the rights of another user or group: LD_PRELOAD does not reach it; it was left alone' said
}
