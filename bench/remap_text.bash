# Figures of bench/remap.sh on how much text is on huge pages, and on which share of what is executed. Sourced there.
# shellcheck shell=bash disable=SC2154,SC2046,SC2086

# Inputs of the compilers, and of node.
make_inputs() {
    [ ! -e "$work/in" ] || return 0
    mkdir "$work/in"
    cat >"$work/in/work.cc" <<'C'
#include <algorithm>
#include <future>
#include <iostream>
#include <map>
#include <random>
#include <regex>
#include <string>
#include <unordered_map>
#include <vector>
template <int N> int f(int x)
{
    std::map<int, std::string> m;
    m[x] = std::to_string(N);
    std::vector<int> v(N);
    std::sort(v.begin(), v.end(), [](int a, int b) { return a % N < b % N; });
    std::unordered_map<std::string, std::vector<std::string>> u;
    u[m[x]].push_back(m.begin()->second);
    return f<N - 1>(x) + int(m.size() + v.size() + u.size());
}
template <> int f<0>(int x) { return x; }
int main(int, char **v) { return f<COUNT>(v[0][0]) + std::regex_match(v[0], std::regex("a+b*")); }
C
    cat >"$work/in/work.js" <<'J'
const end = Date.now() + 5000;
let sum = 0;
for (let i = 0; Date.now() < end; i++) {
    const rows = Array.from({ length: 2000 }, (_, k) => ({ key: `row ${(k * 7919 + i) % 1009}`, at: k, of: [k, i] }));
    const text = JSON.stringify(rows);
    const again = JSON.parse(text).sort((a, b) => a.key.localeCompare(b.key));
    sum += again.length + text.replace(/row (\d+)/g, (_, n) => n * 2).split(",").length;
    sum += [...new Map(again.map((row) => [row.key, row])).values()].length + Buffer.from(text).toString("base64").length;
}
console.log(sum > 0);
J
}
# compile COMPILER COUNT: sets COMMAND; COUNT 100 is some seconds' work
compile() { COMMAND=("$1" -std=c++17 -O2 "-DCOUNT=$2" -c "$work/in/work.cc" -o "$work/in/work.o"); }

# prepare_image NAME: sets COMMAND and PROGRAM, whose text is looked at, or WHY that is not possible
prepare_image() {
    WHY='' COMMAND=()
    command -v "$1" >/dev/null || { WHY="$1 is not installed" && return; }
    PROGRAM=$(command -v "$1")
    case $1 in
    g++) compile g++ 100 && PROGRAM=$(g++ -print-prog-name=cc1plus) ;;
    clang++) compile clang++ 100 ;;
    node) COMMAND=(node "$work/in/work.js") ;;
    mariadbd) workload mariadbd ;;
    esac
}

images() {
    local name when path=$PATH
    PATH=$PATH:/usr/sbin
    make_inputs
    echo 'Text of stock programs under HPPROF_REMAP=auto; at start with a warm cache of copies, hot without one:'
    printf '  %-24s %-5s %12s %9s %17s  %-8s %8s\n' image when 'eligible KiB' 'huge KiB' 'share of samples' backend ms
    for name in g++ clang++ node mariadbd; do
        prepare_image $name
        [ -z "$WHY" ] || { echo "  $name: not measured: $WHY" && continue; }
        warm "$PROGRAM"
        for when in start hot; do
            (cd "$work" && under HPPROF_REMAP_WHEN=$when HPPROF_FREQ=997 HPPROF_TEXT_CACHE="$(if [ $when = start ]; then echo "$work/text"; else echo off; fi)" \
                "${COMMAND[@]}") || { echo "  $name: it fails under the agent: $(tail -n 1 "$work/err")" && continue; }
            json --arg when $when '.total_samples as $all | [.remap[] | select(.asked_kib + .left_kib > 0)] | (.[] |
                "\(.image | split("/") | last)\t\($when)\t\(.asked_kib + .left_kib)\t\(.huge_kib)\t\(.huge_samples / $all)\t\(if .backend == "" then "-" else .backend end)\t\(.ms)"),
                "in total\t\($when)\t\(map(.asked_kib + .left_kib) | add)\t\(map(.huge_kib) | add)\t\((map(.huge_samples) | add) / $all)\t\t\(map(.ms) | add)"' |
                awk -F '\t' '{ printf "  %-24s %-5s %12d %9d %17.3f  %-8s %8.1f\n", $1, $2, $3, $4, $5, $6, $7 }'
        done
    done
    PATH=$path
}

# samples_so_far: lines "IMAGE SAMPLES HUGE" of the session's largest profile
samples_so_far() {
    json '(.remap | map({(.image): .huge_samples}) | add // {}) as $huge | .rows[] |
        select(.flat_samples > 0 and .name != "[unsampled]") | "\(.name | split("/") | last) \(.flat_samples) \($huge[.name] // 0)"'
}
# wait_for SECONDS PROCESS: until the session's largest profile has so many CPU-seconds, or the process has ended
wait_for() {
    until [ "$(json '.total_ns / 1e9 | floor' 2>/dev/null || true)" -ge "$1" ] 2>/dev/null || ! kill -0 "$2" 2>/dev/null; do sleep 0.3; done
}

# share_of COMPILER EDGES: of what comes in another six seconds or so of the same compile. Flushes are ten seconds apart:
# what one tells of samples on huge pages is so of all that it has of samples.
share_of() {
    local compiler=$1 process
    compile "$compiler" 700
    begin_session
    env $(agent HPPROF_REMAP_WHEN=hot HPPROF_REMAP_EDGES="$2" HPPROF_FREQ=997 HPPROF_FLUSH=10) "${COMMAND[@]}" >/dev/null 2>&1 &
    wait_for 9 $!
    samples_so_far >"$work/before"
    sleep 6
    process=$(ls -S "$HPPROF_SESSION"/*.pb | head -n 1)
    process=${process%.pb}
    kill -KILL "${process##*.}" 2>/dev/null || true
    { wait $! || true; } 2>/dev/null
    end_session
    samples_so_far >"$work/after"
    awk 'NR == FNR { n[$1] = $2; huge[$1] = $3; next } { print $1, $2 - n[$1], $3 - huge[$1] }' "$work/before" "$work/after" >"$work/later"
    at_least "$compiler, edges $2" "$(awk '{ n += $2; huge += $3 } END { print huge / n }' "$work/later")" 0.95
    awk '{ n += $2; huge += $3; if ($3 > 0) { movable += $2 } lines[NR] = $1 " " $2 - $3 } END {
        printf "    %.3f of those in images that have whole 2 MiB of text; not on them:", huge / movable
        for (i = 1; i <= NR; i++) { split(lines[i], of, " "); if (of[2] > 0.001 * n) printf " %s %.3f", of[1], of[2] / n }
        print "" }' "$work/later"
    echo "    ($(awk '{ n += $2 } END { print n }' "$work/later") samples later than $(awk '{ n += $2 } END { print n }' "$work/before"); since the start $(awk '{ n += $2; huge += $3 } END { printf "%.3f", huge / n }' "$work/after"))"
}

shares() {
    local compiler
    make_inputs
    echo 'Share of all samples of a compile that lie on huge pages after ten CPU-seconds, hot:'
    for compiler in g++ clang++; do
        command -v $compiler >/dev/null || { echo "  $compiler: not measured: it is not installed" && continue; }
        share_of $compiler inward
        share_of $compiler absorb
    done
}

# Text at start, by one backend, of a program that ends at once: what the records tell of, which is whole 2 MiB.
huge_by() {
    local backend=$1 name=$2
    under HPPROF_REMAP="$backend" HPPROF_REMAP_WHEN=start HPPROF_TEXT_CACHE="$work/text" "${@:3}" || true
    json '"\([.remap[].huge_kib] | add) \([.remap[] | .asked_kib + .left_kib] | add)
\([.remap[] | select(.left_kib > 0) | .reason] | unique | join("; "))"' >"$work/huge"
    at_least "$backend, $name, $(awk 'NR == 1 { print $1 " of " $2 " KiB" }' "$work/huge")" \
        "$(awk 'NR == 1 { print ($2 ? $1 / $2 : 0) }' "$work/huge")" 0.99
    sed -n '2s/^..*/    left: &/p' "$work/huge"
}

# cold_files CC1PLUS CLANG: copies of them, and of the libraries of CLANG that are large, on a file system of their own,
# whose device reads ahead as the kernel's default has it; fails, saying why, where it cannot be made
cold_files() {
    local file
    truncate -s 600M "$work/image" && mkfs.ext4 -q -F "$work/image" && mkdir -p "$work/cold" &&
        mount -o loop "$work/image" "$work/cold" || return
    mounted=$work/cold
    blockdev --setra 256 "$(findmnt -no SOURCE "$work/cold")"
    cp "$1" "$work/cold/cc1plus"
    [ -n "$2" ] || return 0
    for file in $(libraries "$2" | grep -E '/lib(LLVM|clang-cpp|z3)'); do
        cp "$file" "$work/cold/$(readelf -d "$file" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p')"
    done
}

huge_by_file() {
    local file
    if ! cold_files "$1" "$2" 2>"$work/err"; then
        echo "  file: not measured: no file system can be made and mounted here: $(tail -n 1 "$work/err")"
        return
    fi
    for file in "$work"/cold/*[!d]; do drop "$file"; done
    huge_by file 'cc1plus, not cached' "$work/cold/cc1plus" --version
    [ -z "$2" ] || LD_LIBRARY_PATH=$work/cold huge_by file 'clang++, not cached' "$2" --version
    umount "$mounted"
    mounted=''
    rm -f "$work/image"
}

huge() {
    local backend cc1plus clang
    cc1plus=$(g++ -print-prog-name=cc1plus) clang=$(realpath "$(command -v clang++)") || clang=''
    echo 'KiB on huge pages / KiB of whole aligned 2 MiB of text, at start:'
    warm "$cc1plus"
    [ -z "$clang" ] || warm "$clang"
    huge_by_file "$cc1plus" "$clang"
    for backend in cache anon memfd hugetlb; do
        if [ $backend = hugetlb ] && ! reserve 100; then
            echo '  hugetlb: not measured: 100 huge pages cannot be reserved here'
            continue
        fi
        huge_by $backend cc1plus "$cc1plus" --version
        [ -z "$clang" ] || huge_by $backend clang++ "$clang" --version
    done
    reserve "$pages_before" || true
}
