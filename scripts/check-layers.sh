#!/bin/sh
# Holds the direction of dependencies: preload → profiler → common → proto, cli → symbolizer → common → proto.
# The target's side and the operator's side never include each other; code for one processor sits in arch/.
set -u
cd "$(dirname "$0")/.." || exit 2

# shellcheck disable=SC2016 # awk's dollars
find common profiler preload symbolizer cli -name '*.[chS]' | sort | xargs awk '
    BEGIN {
        split("common profiler preload symbolizer cli", folders, " ")
        may["common"] = " common proto "
        may["profiler"] = " profiler common proto "
        may["preload"] = " preload profiler common proto include "
        may["symbolizer"] = " symbolizer common proto "
        may["cli"] = " cli symbolizer common proto "
    }
    function wrong(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; status = 1 }
    FNR == 1 { folder = FILENAME; sub(/\/.*/, "", folder) }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        path = $0
        sub(/^[^"]*"/, "", path)
        sub(/".*/, "", path)
        target = path
        if (sub(/\/.*/, "", target) == 0)
            wrong("name the folder: \"" folder "/" path "\"")
        else if (index(may[folder], " " target " ") == 0)
            wrong(folder "/ may not include " path)
    }
    folder ~ /^(common|preload|profiler)$/ && /^[ \t]*#[ \t]*include[ \t]*<(libelf|gelf|elfutils|dwarf|zlib|libiberty)/ {
        wrong("the agent is not linked with this library")
    }
    FILENAME !~ /^common\/arch/ && /__(x86_64|aarch64)__|REG_R[A-Z0-9]+/ {
        wrong("code for one processor belongs in common/arch/")
    }
    END { exit status }'
