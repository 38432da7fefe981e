#!/bin/sh
# run.sh BUILD: every benchmark, one after the other, on a machine that should have nothing else to do. Each
# compares runs in interleaved pairs and prints a ratio with its spread. About four minutes.
set -eu
build=$(realpath "${1:?usage: run.sh BUILD}")
here=$(dirname "$(realpath "$0")")
hpprof=$build/hpprof
agent=$build/libhpprof.so
work=$build/bench/work
rm -rf "$work"
mkdir -p "$work/99" "$work/997"

# The profiles of the programs under test, and their tables, go to folders of their own.
export HPPROF_CACHE="$work/cache"
profiled() { echo "LD_PRELOAD=$agent HPPROF_OUT=$work/$1/%e.%p.pb HPPROF_REMAP=off HPPROF_FREQ=$1"; }

echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
echo
echo "A compile (gcc -O2, remap off), with the agent over without:"
"$here/gen_c.sh" "$work/compile.c" 2 >/dev/null
# shellcheck disable=SC2046 # a list of assignments
"$build/bench/pairs" 15 cpu plain : at-99-Hz $(profiled 99) : at-997-Hz $(profiled 997) \
    -- gcc -O2 -c "$work/compile.c" -o "$work/compile.o"
for frequency in 99 997; do
    find "$work/$frequency" -name '*.pb' -exec "$hpprof" merge -o "$work/all" {} +
    echo "  samples taken at $frequency Hz: $("$hpprof" report -n 1 "$work/all" 2>/dev/null | grep -m 1 ' samples')"
done

echo
echo "true, with the agent over without (99 Hz, remap off, then at start):"
# shellcheck disable=SC2046
"$build/bench/pairs" 301 wall plain : agent $(profiled 99) : agent-remap $(profiled 99) HPPROF_REMAP=auto HPPROF_REMAP_WHEN=start -- true
# shellcheck disable=SC2046
"$build/bench/pairs" 301 cpu plain : agent $(profiled 99) -- true

echo
echo "A program that ends at once and has 16 MiB of text to move (cc1 --version):"
# shellcheck disable=SC2046
"$build/bench/pairs" 51 wall plain : agent $(profiled 99) : agent-remap $(profiled 99) HPPROF_REMAP=auto HPPROF_REMAP_WHEN=start \
    -- "$(gcc -print-prog-name=cc1)" --version

echo
echo "The signal handler at depth 20, whole stacks by frame pointer:"
"$build/bench/handler" 101 20

echo
echo "hpprof report on 1,000,000 samples in 100,000 stacks:"
for name in "$(gcc -print-prog-name=cc1)" "$(gcc -print-file-name=libc.so.6)" "$(gcc -print-file-name=libstdc++.so.6)"; do
    realpath "$name"
done | "$build/bench/gen_profile" "$work/million" 100000 10 20000
"$hpprof" symbolize "$work/million" -o "$work/million.named" 2>/dev/null
set --
if command -v go >/dev/null; then
    set -- : go-tool-pprof go tool pprof -top -symbolize=none "$work/million.named"
fi
"$build/bench/pairs" 15 wall report-named "$hpprof" report "$work/million.named" \
    : report-raw "$hpprof" report "$work/million" "$@"
rm -rf "$work"
