#!/bin/sh
# Files of at most 400 lines, functions of at most 60 (from the brace that opens to the one that closes).
set -u
cd "$(dirname "$0")/.." || exit 2
find common profiler preload symbolizer cli tests bench scripts -type f \
    \( -name '*.[chS]' -o -name '*.sh' -o -name '*.bats' -o -name '*.bash' -o -name '*.cc' \) | sort |
    xargs awk '
    FNR == 1 && file { check_file() }
    { file = FILENAME; lines = FNR }
    /^\{/ { start = FNR }
    /^\}/ && start {
        if (FNR - start + 1 > 60)
            wrong(file ":" start ": a function of " FNR - start + 1 " lines, more than 60")
        start = 0
    }
    function check_file() { if (lines > 400) wrong(file ": " lines " lines, more than 400") }
    function wrong(what) { print what; status = 1 }
    END { check_file(); exit status }'
