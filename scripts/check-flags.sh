#!/bin/sh
# What test programs say behind `flags:`, to the end of that comment, is flags alone: it is how they are compiled.
set -u
cd "$(dirname "$0")/.." || exit 2
find tests/programs tests/torture -name '*.c' -o -name '*.cc' | sort | xargs awk '
    FNR == 1 { behind = 0 }
    /flags:/ { behind = 1; sub(/.*flags:/, "") }
    behind {
        if (sub(/\*\/.*/, "")) behind = 0
        sub(/^ \*/, "")
        for (i = 1; i <= NF; i++)
            if ($i !~ /^-/) { print FILENAME ":" FNR ": not a flag: " $i; status = 1 }
    }
    END { exit status }'
