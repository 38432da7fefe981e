#!/usr/bin/env bats
# hpprof unwind-table: what it prints, that it checks, and one clear line for what has no table.

load helper
load profiles

setup() {
    hpprof_setup
    cat >function.c <<'END'
__attribute__((noinline)) long inner(long *values) { return values[0] + values[63]; }
long outer(void) { long values[64] = {1}; return inner(values) + 1; }
END
    "${CC:-cc}" -O1 -fomit-frame-pointer -shared -fPIC -nostdlib function.c -o function.so
}

@test "a summary, of a file that libdw confirms" {
    hpprof unwind-table function.so >out
    cat out
    [ "$(sed -n 1p out)" = function.so ]
    grep -Eq '^ +[0-9]+ rows, [0-9]+ rules, from [0-9]+ entries$' out
    grep -Eq '^ +0 entries not used, or not wholly' out
    grep -Eq '^ +[0-9]+ bytes, [0-9]+\.[0-9]+ a row$' out
    grep -Eq '^ +[1-9][0-9]* addresses compared with libdw: all equal$' out
    sections=$(readelf -SW function.so | sed -n 's/.* \.eh_frame[^ ]* *PROGBITS *[^ ]* *[^ ]* *\([^ ]*\).*/0x\1/p' | paste -sd+)
    grep -Eq "^ +$((sections)) bytes of .eh_frame and .eh_frame_hdr" out
}

@test "libraries of the system" {
    for file in /lib/x86_64-linux-gnu/libc.so.6 /usr/lib/x86_64-linux-gnu/libstdc++.so.6 /bin/bash; do
        hpprof unwind-table "$file" >out
        cat out
        [ "$(awk '$2 == "rows," { print $1 }' out)" -gt 1000 ]
        check "$(awk '$2 == "bytes," { print $3 }' out)" '<=' 6
    done
}

@test "--rows prints each row and nothing else" {
    hpprof unwind-table --rows function.so >rows
    cat rows
    [ "$(grep -cEv '^0x[0-9a-f]+  (none|end of stack|CFA=.* fp=.* ra=.*)$' rows)" -eq 0 ]
    outer=0x$(nm function.so | awk '$3 == "outer" { sub(/^0+/, "", $1); print $1 }')
    # Its first instruction, and after it has made room.
    awk -v outer="$outer" '$1 <= outer { last = $0 } END { print last }' rows | grep -q 'CFA=rsp+8 fp=same ra=\[CFA-8\]$'
    grep -Eq 'CFA=rsp\+(4[0-9]{2}|5[0-9]{2}) fp=same ra=\[CFA-8\]' rows
    [ "$(wc -l <rows)" -eq "$(hpprof unwind-table function.so | awk '$2 == "rows," { print $1 }')" ]
    tail -n 1 rows | grep -q '  none$'
    sort -c rows
}

@test ".debug_frame, where there is no .eh_frame" {
    "${CC:-cc}" -O1 -g -fno-asynchronous-unwind-tables -fno-unwind-tables -shared -fPIC -nostdlib function.c -o debug.so
    readelf -SW debug.so | grep -q debug_frame
    hpprof unwind-table debug.so >out
    cat out
    grep -q 'all equal' out
    objcopy --compress-debug-sections debug.so compressed.so
    readelf -SW compressed.so | grep 'debug_frame.* C '
    fails 1 "hpprof: compressed.so: no unwind table: it has no .eh_frame, and its .debug_frame is compressed" \
        hpprof unwind-table compressed.so
}

@test "where libdw reads the file in another way: status 1 and the first addresses" {
    # Two entries for one address: linkers refuse that, and readers differ in which they take.
    cat >overlap.S <<'END'
    .text
    .skip 256, 0x90
    .section .eh_frame, "a", @progbits
cie:
    .long cie_end - cie - 4, 0
    .byte 1
    .string "zR"
    .byte 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1
    .balign 4, 0
cie_end:
    .macro entry from, to, offset
0:  .long 1f - 0b - 4
    .long . - cie
    .long .text + \from - .
    .long \to - \from
    .byte 0, 0x0e, \offset
    .balign 4, 0
1:
    .endm
    entry 0x40, 0x80, 32
    entry 0, 0x100, 16
END
    "${CC:-cc}" -shared -nostdlib -Wl,--no-eh-frame-hdr overlap.S -o overlap.so
    status=0
    hpprof unwind-table overlap.so 2>err || status=$?
    cat err
    [ "$status" -eq 1 ]
    grep -q "^hpprof: overlap.so: at 0x[0-9a-f]* the table has 'CFA=rsp+16 fp=same ra=\[CFA-8\]', but libdw '" err
    tail -n 1 err | grep -q '^hpprof: overlap.so: the table differs from libdw at '
    [ "$(wc -l <err)" -le 11 ]
}

@test "what has no table: one clear line" {
    fails 1 "hpprof: cannot read nothing.so: No such file or directory" hpprof unwind-table nothing.so
    fails 1 "hpprof: . is not a regular file" hpprof unwind-table .
    fails 1 "hpprof: function.c: no unwind table: it is not a 64-bit ELF file" hpprof unwind-table function.c
    : >empty
    fails 1 "hpprof: empty: no unwind table: it is not a 64-bit ELF file" hpprof unwind-table empty
    mkfifo pipe
    fails 1 "hpprof: pipe is not a regular file" hpprof unwind-table pipe
    objcopy -R .eh_frame -R .eh_frame_hdr function.so bare.so
    fails 1 "hpprof: bare.so: no unwind table: it has no unwind information (.eh_frame)" hpprof unwind-table bare.so
    head -c 4096 function.so >half.so
    fails 1 "hpprof: half.so: no unwind table: " hpprof unwind-table half.so
}

@test "usage" {
    fails 2 "hpprof: unwind-table: missing argument" hpprof unwind-table
    fails 2 "hpprof: unwind-table: 'b' is one argument too many" hpprof unwind-table a b
    hpprof unwind-table --help | grep -q -- --rows
}

@test "linkage tables without information of their own have the rules that the linker would have written" {
    cat >calls.c <<'END'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) { return argc > 1 ? puts(argv[1]) : atexit(abort); }
END
    for option in -Wl,-z,lazy -Wl,-z,now -Wl,-z,ibtplt; do
        "${CC:-cc}" -O1 calls.c -o with "$option"
        "${CC:-cc}" -O1 calls.c -o without "$option" -Wl,--no-ld-generated-unwind-info
        hpprof unwind-table without | grep 'all equal'
        for file in with without; do
            plt=$(readelf -SW $file | sed -n 's/.* \.plt  *PROGBITS *0*\([0-9a-f]*\) .*/0x\1/p')
            text=$(readelf -SW $file | sed -n 's/.* \.text  *PROGBITS *0*\([0-9a-f]*\) .*/0x\1/p')
            hpprof unwind-table --rows $file | awk -v from="$plt" -v to="$text" '$1 >= from && $1 < to' >$file.rows
        done
        cat with.rows
        [ "$(wc -l <with.rows)" -ge 3 ]
        cmp with.rows without.rows
    done
}

@test "a compressed .debug_frame beside .eh_frame is not used, and not compared" {
    cat >other.c <<'END'
long other(long *values) { return values[1] + values[2]; }
END
    "${CC:-cc}" -O1 -c -fPIC other.c
    "${CC:-cc}" -O1 -c -g -fPIC -fno-asynchronous-unwind-tables -fno-unwind-tables function.c
    "${CC:-cc}" -shared -nostdlib other.o function.o -o both.so
    entries=$(hpprof unwind-table both.so | awk '$5 == "from" { print $6 }')
    objcopy --compress-debug-sections both.so compressed.so
    readelf -SW compressed.so | grep 'debug_frame.* C '
    hpprof unwind-table compressed.so >out
    cat out
    grep -q '^note: its .debug_frame is compressed' out
    grep -q 'all equal' out
    [ "$(awk '$5 == "from" { print $6 }' out)" -eq $((entries - 2)) ]
}
