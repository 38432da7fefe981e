#!/bin/sh
# unwind.sh BUILD: what walking by unwind tables costs, each figure with the bound that it must keep. On a machine
# that should have nothing else to do; about five minutes.
set -eu
build=$(realpath "${1:?usage: unwind.sh BUILD}")
agent=$build/libhpprof.so
work=$build/bench/unwind-work
rm -rf "$work"
mkdir -p "$work/out"

# The profiles of the programs under test, and their tables, go to folders of their own.
export HPPROF_CACHE="$work/cache"
profiled() { echo "LD_PRELOAD=$agent HPPROF_UNWIND=$1 HPPROF_OUT=$work/out/%e.%p.pb HPPROF_REMAP=off HPPROF_FREQ=997"; }

# column FILE N: of the line for `auto` in what pairs printed, that word
column() { awk -v n="$2" '$1 == "auto" { print $n }' "$1"; }

# at_most WHAT VALUE BOUND: as bench/verdict.h prints it
at_most() {
    awk -v what="$1" -v value="$2" -v bound="$3" 'BEGIN {
        printf "  %-48s %9.3f  at most %-5g %s\n", what, value, bound, value + 0 <= bound ? "ok" : "MISSED" }'
}

echo "In the signal handler, above an empty one (medians of 31 rounds):"
"$build/bench/unwind" 31

echo
echo "Tables of libraries:"
"$build/bench/unwind_build" 15 || true # it says what is missed

echo
compiler=$(command -v clang++ || true)
echo "clang++ --version, tables in the cache, by frame pointers and by tables (auto):"
if [ -n "$compiler" ]; then
    # shellcheck disable=SC2046 # lists of words
    "$build/hpprof" cache warm "$(realpath "$compiler")" \
        $(ldd "$compiler" | sed -n 's/.* \(\/[^ ]*\) (.*/\1/p') >/dev/null 2>&1 || true # one of data alone has none
    # shellcheck disable=SC2046
    "$build/bench/pairs" 101 wall fp $(profiled fp) : auto $(profiled auto) -- "$compiler" --version | tee "$work/start"
    at_most "auto minus fp, ms" "$(column "$work/start" 4)" 2
else
    echo "  no clang++ here"
fi

echo
echo "g++ -O2 at 997 Hz, tables in the cache, by frame pointers and by tables (auto):"
cat >"$work/compile.cc" <<'SOURCE'
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <unordered_map>
int main(int argc, char **argv)
{
    std::map<std::string, std::function<int(int)>> functions;
    std::unordered_map<std::string, std::regex> patterns;
    for (int i = 1; i < argc; i++) {
        patterns.emplace(argv[i], std::regex(argv[i]));
        functions[argv[i]] = [i](int value) { return value * i; };
    }
    for (std::string line; std::getline(std::cin, line);)
        for (auto &[name, pattern] : patterns)
            if (std::regex_search(line, pattern))
                std::cout << name << functions[name](1) << '\n';
}
SOURCE
# shellcheck disable=SC2046
env $(profiled auto) HPPROF_FREQ=9997 c++ -O2 -c "$work/compile.cc" -o "$work/compile.o" # fills the cache
# shellcheck disable=SC2046
"$build/bench/pairs" 21 cpu fp $(profiled fp) : auto $(profiled auto) \
    -- c++ -O2 -c "$work/compile.cc" -o "$work/compile.o" | tee "$work/compile"
at_most "auto / fp" "$(column "$work/compile" 6)" 1.01
rm -rf "$work"
