#!/bin/sh
# gen_c.sh FILE SECONDS [COMPILER]: writes a C file that keeps the compiler busy: it grows until `cc -O2`
# uses at least SECONDS of CPU time on it. The same number of functions gives the same text everywhere.
set -eu
file=${1:?usage: gen_c.sh FILE SECONDS [COMPILER]}
seconds=${2:?usage: gen_c.sh FILE SECONDS [COMPILER]}
compiler=${3:-gcc}

# generate N: N functions of loops, switches, structures and calls, drawn from a fixed sequence
generate() {
    awk -v functions="$1" '
    function draw(n) { seed = (seed * 16807) % 2147483647; return int(seed / 64) % n }
    function expression(depth,    kind) {
        kind = depth > 3 ? draw(3) : draw(6)
        if (kind == 0) return "x" draw(4)
        if (kind == 1) return "v[" draw(8) "]"
        if (kind == 2) return draw(1000) "u"
        return "(" expression(depth + 1) " " substr("+-*^|&", 1 + draw(6), 1) " " expression(depth + 1) ")"
    }
    BEGIN {
        seed = 1
        print "struct item { struct item *next; unsigned key, value; };"
        print "unsigned f0(unsigned *v, struct item *list) { return v[0] + list->key; }"
        for (i = 1; i <= functions; i++) {
            printf "unsigned f%d(unsigned *v, struct item *list)\n{\n", i
            print "    unsigned x0 = v[0], x1 = v[1], x2 = v[2], x3 = v[3];"
            printf "    for (unsigned i = 0; i < %d; i++) {\n", 4 + draw(60)
            printf "        x%d += %s;\n", draw(4), expression(0)
            printf "        v[i %% 8] ^= x%d >> %d;\n    }\n", draw(4), 1 + draw(20)
            printf "    switch (x%d %% 8) {\n", draw(4)
            for (j = 0; j < 8; j++)
                printf "    case %d:\n        x%d = %s;\n        break;\n", j, draw(4), expression(0)
            print "    }\n    for (struct item *at = list; at; at = at->next)"
            printf "        if (at->key %% %d == x%d %% 7)\n            at->value = %s;\n", 3 + draw(9), draw(4), expression(1)
            printf "    return x0 + x1 + x2 * x3 + (x0 & 1 ? f%d(v, list) : 0);\n}\n", draw(i)
        }
    }'
}

# Children's CPU time so far. (In a $(…) it would be that of the subshell's.)
cpu() {
    times >"$file.times"
    used=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); n += part[1] * 60 + part[2] } print n }' \
        "$file.times")
}

functions=200
while :; do
    generate "$functions" >"$file"
    cpu
    before=$used
    "$compiler" -O2 -S -o /dev/null "$file"
    cpu
    used=$(awk -v a="$used" -v b="$before" 'BEGIN { print a - b }')
    awk -v used="$used" -v want="$seconds" 'BEGIN { exit used < want }' && break
    functions=$(awk -v n="$functions" -v used="$used" -v want="$seconds" 'BEGIN {
        print int(n * (used > want / 5 ? 1.15 * want / used : 4)) + 1 }')
    if [ "$functions" -gt 200000 ]; then
        echo "gen_c.sh: $compiler needs no time to compile" >&2
        exit 1
    fi
done
rm -f "$file.times"
echo "$file: $functions functions, $used CPU-seconds to compile"
