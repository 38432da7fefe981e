#!/usr/bin/env bats
# A taste of `make torture`: each of its parts at a small scale.

load helper

setup() {
    hpprof_setup
}

torture() {
    timeout -k 5 200 "$ROOT/tests/torture/run.sh" "${PROGRAMS%/tests/programs}" "$@"
}

@test "our signal right before and behind each system call" {
    [ "$(uname -m)" = x86_64 ] || skip 'for x86-64 only'
    "${PROGRAMS%/programs}/torture/deliver" syscalls 1 true || skip 'ptrace is not possible'
    torture 0.01 calls
}

@test "the same in stock programs" {
    [ "$(uname -m)" = x86_64 ] || skip 'for x86-64 only'
    "${PROGRAMS%/programs}/torture/deliver" syscalls 1 true || skip 'ptrace is not possible'
    torture 1 stock
}

@test "our signal at one instruction of a hundred of start-up, threads, fork, exec, dlopen and exit" {
    [ "$(uname -m)" = x86_64 ] || skip 'for x86-64 only'
    "${PROGRAMS%/programs}/torture/deliver" syscalls 1 true || skip 'ptrace is not possible'
    torture 0.01 steps
}

@test "walks over changed stacks while what they point at goes" {
    torture 0.02 walks
}

@test "many threads" {
    torture 0.02 threads
}

@test "many children" {
    torture 0.02 forks
}

@test "SIGKILL at random moments: each profile opens" {
    torture 0.02 kills
}

@test "what ps, wait and /proc show is the same" {
    torture 1 looks
}

@test "text is swapped while threads run in it, objects come and go while they are moved" {
    huge_pages_on || skip "transparent huge pages are off"
    torture 0.05 swaps
}

@test "system calls of the remap fail" {
    [ "$(uname -m)" = x86_64 ] || skip 'for x86-64 only'
    "${PROGRAMS%/programs}/torture/deliver" syscalls 1 true || skip 'ptrace is not possible'
    huge_pages_on || skip "transparent huge pages are off"
    torture 0.1 remap
}
