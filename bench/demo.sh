#!/bin/sh
# demo.sh BUILD: the whole path on two programs that nobody prepared for it: Debian's C compiler (stripped, no
# frame pointers) and hpprof itself (built with both) reading every ELF file in /usr/lib.
set -eu
build=${1:?usage: demo.sh BUILD}
here=$(dirname "$0")
hpprof=$build/hpprof
HPPROF_CACHE=$(realpath "$build")/demo-cache # unwind tables, for the next time
export HPPROF_CACHE

# show PROFILE: what was measured
show() {
    echo
    "$hpprof" report -n 15 "$1"
    "$hpprof" flamegraph "$1" -o "${1%.pb}.svg"
    echo
    echo "profile      $1"
    echo "flame graph  ${1%.pb}.svg"
}

huge=/sys/kernel/mm/transparent_hugepage/enabled
if ! grep -q '\[always\]\|\[madvise\]' "$huge" 2>/dev/null; then
    echo "Huge pages are off on this machine ($huge): text stays where it is, and is profiled there."
    echo
fi

"$here/gen_c.sh" "$build/demo.c" 3
echo
echo "== gcc -O2, a program we did not build =="
"$hpprof" record -o "$build/demo.pb" -- gcc -O2 -c "$build/demo.c" -o "$build/demo.o"
show "$build/demo.pb"

# Two million addresses, spread over all files: a few seconds' work on any machine.
find /usr/lib -type f -size +8k \( -name '*.so*' -o -perm -100 \) | sort >"$build/demo-elf.list"
echo
"$build/bench/gen_profile" "$build/demo-elf.in" 20000 1 $((2000000 / $(wc -l <"$build/demo-elf.list"))) <"$build/demo-elf.list"
echo
echo "== hpprof, reading the symbols of every ELF file in /usr/lib =="
"$hpprof" record -o "$build/demo-elf.pb" -- "$hpprof" symbolize "$build/demo-elf.in" -o "$build/demo-elf.out"
show "$build/demo-elf.pb"
echo "tables       $HPPROF_CACHE"
