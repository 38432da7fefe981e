#!/usr/bin/env bats
# Debian's own programs at real work, in trees of processes and threads: what they make is, byte for
# byte, what they make without the agent, and their time is in the profile.
# shellcheck disable=SC2016 # the shells of the tests expand them

load ../cli/helper

setup() {
    hpprof_setup
    awk 'BEGIN { for (i = 0; i < 500000; i++) print (i * 7919) % 1000003, "line", i % 97 }' >input
}

# same_work COMMAND: a shell command that writes to stdout, plain and recorded; the profile is x.pb
same_work() {
    bash -c "$1" >plain
    hpprof record -F 997 -o x.pb -- bash -c "$1" >recorded 2>err || {
        cat err
        return 1
    }
    cmp plain recorded
    check "$(profile_samples x.pb)" '>=' 20
    hpprof report --by image x.pb | tee report
}

@test "cc compiles: the object file is the same, cc1 is in the profile" {
    cat >work.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define F(n) int f##n(int x) { char b[64]; for (int i = 0; i < x; i++) { snprintf(b, sizeof(b), "%d", i * n); x += atoi(b) ^ (int)strlen(b); } return x; }
#define G(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)
#define H(n) G(n##0) G(n##1) G(n##2) G(n##3) G(n##4) G(n##5) G(n##6) G(n##7) G(n##8) G(n##9)
H(1) H(2) H(3) H(4)
C
    same_work 'cc -O2 -c work.c -o work.o && cat work.o'
    grep -w cc1 report
    hpprof report --by process x.pb | grep -w cc1
}

@test "sort, with threads" {
    same_work 'sort --parallel=2 -S 50M input'
    grep -w sort report
}

@test "xz and back, with threads" {
    same_work 'xz -3 -T2 --block-size=1MiB -c input | tee out.xz | xz -dc; cat out.xz'
    grep -w 'liblzma.*' report
}

@test "a pipe of small programs" {
    same_work 'for i in 1 2 3; do cut -d" " -f$i input | sort -n | uniq -c | sed s/9/x/g | tr a-z A-Z | md5sum; done'
}

@test "perl" {
    same_work 'perl -ne "\$sum{\$1}++ if /(\d+)\$/; END { print map { \"\$_ \$sum{\$_}\n\" } sort keys %sum }" input'
    grep -w 'perl.*' report
}

@test "gdb, which traces processes of its own" {
    gdb --version >/dev/null || skip "no gdb"
    strace -o /dev/null true || skip "ptrace is not possible"
    same_work 'gdb -q -batch -ex "break strlen" -ex run -ex bt -ex "info sharedlibrary" /bin/true 2>/dev/null | grep -c ^0x; sort input'
}
