#!/bin/bash
# run.sh BUILD SCALE PART...: tests that take long or much, each SCALE times its full size (1: what `make torture`
# does; less: a taste of it). Each part says in a line what was done; exit status 1 if one fails.
set -u
here=$(realpath "${0%/*}")
build=$(realpath "${1:?usage: run.sh BUILD SCALE PART...}") scale=${2:?}
shift 2
agent=$build/libhpprof.so tools=$build/tests/torture
work=$(mktemp -d "${TMPDIR:-/tmp}/torture.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
unset "${!HPPROF_@}" LD_PRELOAD
export HPPROF_CACHE=$work/cache

# full N: N at this scale, at least 1
full() { awk -v n="$1" -v scale="$scale" 'BEGIN { n *= scale; print (n < 1 ? 1 : int(n)) }'; }

# wrong WHAT: of the present part
wrong() {
    echo "FAILED: $part: $*"
    failed=1
}

# profiled VARIABLE=VALUE… COMMAND…: with the agent; nothing of it is left when this returns
profiled() { "$tools/reap" 1800 env LD_PRELOAD="$agent" HPPROF_REMAP=off HPPROF_OUT="$work/profiles/$part.%p.pb" "$@"; }

# same_as_plain COMMAND…: the files `out` and `status` are those of the command alone
same_as_plain() {
    "$@" >plain 2>/dev/null
    [ $? -eq "$status" ] || wrong "exit status $status instead of that without the agent"
    cmp -s plain out || { wrong "another output than without the agent:" && diff plain out | head -n 20; }
}

# readable: the profiles of the present part, at least one, are such that our command has no complaint; as many
# are in the file `files`
readable() {
    find profiles -path "profiles/$part.*" -type f >files
    [ -s files ] || wrong 'no profile'
    xargs -n 5000 "$build/hpprof" merge -o merged <files >/dev/null 2>err || wrong "$(head -n 1 err)"
    ! grep -aq 'a torn last chunk was left out' merged || wrong 'a profile is torn'
}

# deliver HOW EVERY COMMAND…: our signal at the worst moments of a program
deliver() {
    "$tools/deliver" "$1" "$2" env LD_PRELOAD="$agent" HPPROF_REMAP=off HPPROF_FREQ=1 \
        HPPROF_OUT="$work/profiles/$part.%p.pb" "${@:3}" >out 2>said
    status=$?
    same_as_plain "${@:3}"
    readable
    grep '^deliver:' said | sed "s,^deliver:,$part ($(basename "$3")):,"
    awk '/signals sent/ { if ($7 > 0) ok = 1 } END { exit !ok }' said || wrong 'no signal was delivered'
}
torture_calls() { deliver syscalls 1 "$tools/scene"; }
torture_steps() { deliver step "$(awk -v scale="$scale" 'BEGIN { print (scale >= 1 ? 1 : int(1 / scale)) }')" "$tools/scene"; }

# The same right before and behind each system call of stock programs.
torture_stock() {
    local program missing=''
    cat >work.py <<'PYTHON'
import os, subprocess, sys, threading
def work(n): return sum(i * i for i in range(n))
threads = [threading.Thread(target=work, args=(20000,)) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(subprocess.run(["sh", "-c", "echo out; exit 5"], capture_output=True))
if not os.fork(): os._exit(work(10) % 7)
print(os.wait()[1])
import json, re, ctypes, sqlite3
print(sqlite3.connect(":memory:").execute("select 1 + 1").fetchall())
sys.exit(3)
PYTHON
    echo 'int main(void) { return 0; }' >work.c
    echo 'fork; wait; print "x\n"; exit(2)' >work.pl
    echo 'for i in 1 2; do (echo $i | tr 1 x; exit 3); done; trap "echo end" EXIT; sleep 0.1 & wait; exit 4' >work.sh
    for program in 'python3 work.py' 'perl work.pl' 'gcc -O2 -S -o /dev/stdout work.c' \
        'bash work.sh' 'xz -T2 -c /bin/sh' 'git --no-pager diff --no-index work.py work.c'; do
        command -v "${program%% *}" >/dev/null || { missing+=" ${program%% *}" && continue; }
        # shellcheck disable=SC2086 # a list of words
        deliver syscalls 1 $program
    done
    [ -z "$missing" ] || echo "stock: not installed:$missing"
}

torture_walks() {
    local seed
    for seed in 1 2 3 4; do
        "$tools/walks" "$(full 250000)" $seed >out 2>&1 || wrong "walks, seed $seed: exit status $?"
        sed "1s/^/walks: /" out
    done
}

# Text is swapped under two threads that execute it; shared objects come and go while they are moved.
torture_swaps() {
    local backend moves programs=$build/tests/programs
    reserve_pages 12
    export HPPROF_TEXT_CACHE=$work/text
    "$build/hpprof" cache warm --text "$tools/swaps" "$programs"/late_plugin{,_two} >out 2>&1 || echo "swaps: no cache: $(tail -n 1 out)"
    profiled HPPROF_FREQ=997 HPPROF_OUT="$work/plugins.pb" "$programs/late" swap 0.6 >out 2>said
    for backend in anon memfd hugetlb cache; do
        [ $backend != hugetlb ] || [ "$(cat /proc/sys/vm/nr_hugepages)" -ge 12 ] ||
            { echo 'swaps: hugetlb: not done, no huge pages can be reserved' && continue; }
        [ $backend != cache ] || [ -n "$(ls -A text 2>/dev/null)" ] || continue
        "$tools/swaps" "$(full 10000)" 2 2 $backend >out 2>said || wrong "swaps, $backend: exit status $?: $(head -n 1 said)"
        echo "swaps: $backend: $(cat out)"
        rm -rf profiles/"$part".*
        "$tools/reap" 1800 env LD_PRELOAD="$agent" HPPROF_REMAP=$backend HPPROF_REMAP_WHEN=hot HPPROF_REMAP_HOT="$work/plugins.pb" \
            HPPROF_FREQ=997 HPPROF_OUT="$work/profiles/$part.%p.pb" "$programs/late" rounds "$(full 1000)" >out 2>said ||
            wrong "late, $backend: exit status $?: $(head -n 1 said)"
        readable
        moves=$(cat profiles/"$part".* | grep -ao "hpprof.remap backend=$backend" | wc -l)
        echo "swaps: $backend: $(cat out) of $(full 1000), $moves moves in them"
        [ $((10 * moves)) -ge "$(full 1000)" ] || wrong 'in nine of ten rounds nothing was moved'
    done
    release_pages
}

torture_threads() {
    profiled HPPROF_FREQ=997 "$tools/many" threads "$(full 100000)" >out 2>said || wrong "exit status $?"
    readable
    echo "threads: $(cat out), $(cat said)"
}

torture_forks() {
    local timer
    for timer in cpu perf; do
        profiled HPPROF_FREQ=9973 HPPROF_TIMER=$timer "$tools/many" forks "$(full 10000)" >out 2>said ||
            wrong "HPPROF_TIMER=$timer: exit status $?: $(tail -n 1 said)"
        readable
        echo "forks: $(cat out), HPPROF_TIMER=$timer: $(wc -l <files) profiles of $(profiled_samples) samples"
        rm -rf profiles/"$part".*
    done
}
# profiled_samples: in the present part's profiles, after readable
profiled_samples() { "$build/hpprof" report --json merged | jq .total_samples; }

# What each killed program had used since main began must be in its profile, but for a tick and the part of a
# period that is under way at either end. One that others took the processor from may wait for it with more than a
# tick unseen when it is ended; these are counted apart.
torture_kills() {
    mkdir kills
    HPPROF_FREQ=997 HPPROF_REMAP=off "$tools/kills" "$(full 500)" "$work/kills" "$agent" >list || wrong "exit status $?"
    local number used switches sampled lacks files=0 crowded=0 short=0 tick=0 bad=0 most=0
    while read -r number used switches; do
        [ "$number" != tick ] || { tick=$used && continue; }
        sampled=0
        if [ -e "kills/$number.pb" ]; then
            files=$((files + 1))
            opens "kills/$number.pb" || bad=$((bad + 1))
            sampled=$("$build/hpprof" report --json -n 0 "kills/$number.pb" 2>/dev/null | jq .cpu.sampled_ns)
        fi
        lacks=$((used - ${sampled:-0}))
        [ $lacks -le $most ] || most=$lacks
        [ $lacks -gt $((tick + 2 * 1003009)) ] || continue
        if [ "$switches" -gt 0 ]; then crowded=$((crowded + 1)); else short=$((short + 1)); fi
    done <list
    [ $bad -eq 0 ] || wrong "$bad profiles do not open in $reader"
    [ $short -eq 0 ] || wrong "$short profiles are short of more"
    echo "kills: $(full 500) programs ended at random moments, $files profiles, $bad of them do not open in $reader; at most $((most / 1000)) us are missing, more than a tick of $((tick / 1000)) us in $crowded that shared their processor, and in $short others"
}
# opens FILE: in Go's pprof, where there is one
opens() {
    if [ "$reader" = 'go tool pprof' ]; then
        HOME=$build/tests/go GOCACHE=$build/tests/go/cache XDG_CONFIG_HOME='' PPROF_TMPDIR=$work GOTOOLCHAIN=local \
            GOPROXY=off GOFLAGS='' go tool pprof -top -symbolize=none "$1" >go.out 2>&1
    else
        "$build/hpprof" report "$1" >/dev/null 2>&1
    fi
}

# What a program sees of itself and of its children, with the agent and without. The writer is looked for apart.
torture_looks() {
    profiled HPPROF_FREQ=997 "$tools/looks" >out 2>&1
    status=$?
    same_as_plain "$tools/reap" 1800 "$tools/looks" # its descriptors too come from the same parent
    echo "looks: $(wc -l <out) lines about ps, wait, /proc/PID/task and /proc/PID/fd are the same"
}

# What samples alone, and all rows, come to against getrusage; and four threads, each against its own clock. A taste
# is not judged by its samples: it is short, and beside other tests.
torture_accounts() {
    local frequency
    for frequency in 99 997; do
        account cpu $frequency samples "$build/tests/programs/accounting" main 1 2000
        account cpu $frequency samples "$build/tests/programs/accounting" at_once 64 "$(full 400)"
        account cpu $frequency samples "$build/tests/programs/accounting" at_once "$(full 200)" 100
        account cpu $frequency samples "$tools/uses" raw 4 1000
        account cpu $frequency samples "$tools/uses" tree "$(full 100)" 50
        account cpu $frequency samples "$tools/uses" chain 10 500
        account cpu $frequency short_lived "$build/tests/programs/accounting" in_turn "$(full 10000)" 1
        account cpu $frequency blocked "$build/tests/programs/accounting" blocked 8 250
    done
    # perf's samples leave out the kernel, which is some per cent of what processes and threads use that share a processor
    account perf 9973 samples "$build/tests/programs/accounting" main 1 2000
    account perf 9973 samples "$tools/uses" raw 4 1000
    account perf 9973 samples "$tools/uses" chain 10 500
    account perf 9973 samples "$build/tests/programs/accounting" at_once 64 "$(full 400)"
    account perf 9973 rows "$build/tests/programs/accounting" at_once "$(full 200)" 100
    account perf 9973 rows "$tools/uses" tree "$(full 100)" 50
    account cpu 99 samples "$tools/uses" equal 4 "$(full 20000)"
    "$build/hpprof" report -b thread --json merged | jq -r '.rows[] | "\(.name) \(.flat_ns)"' >rows
    awk 'NR == FNR { if ($2 ~ /^\([0-9]+\)$/) sampled[substr($2, 2, length($2) - 2)] = $3; next }
        $1 == "thread" { off = (sampled[$2] / 1e9 - $3) * 99; off = off < 0 ? -off : off; most = off > most ? off : most; n++ }
        END { printf "accounts: four equal threads at 99 Hz: at most %.2f periods from their own clocks\n", most; exit !(n == 4 && most <= 2) }' \
        rows out || wrong 'equal threads are more than two periods from their own clocks'
}
# account TIMER FREQUENCY WHAT PROGRAM CASE COUNT MS: WHAT is to stand for what was used: `samples` alone within 3 %,
# or the booked rows that are so called for most of it; all rows for all of it
account() {
    local what=$5\ $6\ x\ $7\ ms,\ $1\ $2\ Hz used
    rm -rf profiles/"$part".*
    profiled HPPROF_FREQ="$2" HPPROF_TIMER="$1" "${@:4}" >out 2>said || wrong "$what: exit status $?"
    readable
    used=$(awk '$1 == "used" { used += $2 * 1e9 } END { printf "%.0f", used }' out)
    "$build/hpprof" report --json merged | jq -r --argjson used "$used" --arg what "${3%rows}" '
        "\(100 * .cpu.sampled_ns / $used) \(100 * .total_ns / $used) \(100 * (.cpu[$what + "_ns"] // 0) / $used)"' >shares
    awk -v what="$what" '{ printf "accounts: %s: samples %.2f %% of getrusage, all rows %.2f %%\n", what, $1, $2 }' shares
    awk '{ exit !($2 >= 99 && $2 <= 101) }' shares || wrong "$what: rows do not add up to what was used"
    awk -v kind="$3" -v scale="$scale" 'kind == "samples" { exit !(scale < 1 || $1 >= 97 && $1 <= 103) }
        kind != "rows" { exit !($1 + $3 >= 90 && $3 > 0) }' shares ||
        wrong "$what: $3: $(cat shares) per cent (samples, all, these)"
}

# Each system call of each backend of the remap fails: before main, and in the writer while the program runs.
torture_remap() {
    local backend how injected=0 changed=0
    reserve_pages 12
    for how in remap_faults remap_faults_hot; do
        for backend in anon memfd file cache hugetlb; do
            "$here/$how.sh" "$build" $backend "$(awk -v scale="$scale" 'BEGIN { print (scale >= 1 ? 1 : int(1 / scale)) }')" >out
            case $? in 0 | 77) ;; *) wrong "the remap by $backend does not survive what fails" ;; esac
            cat out
            injected=$(awk -v n=$injected '/ failures injected / { n += $3 } END { print n }' out)
            changed=$(sed -n 's/.*; \([0-9]*\) left text where it was.*/\1/p' out | awk -v n=$changed '{ n += $1 } END { print n }')
        done
    done
    echo "remap: $injected failures injected in all, $changed left text where it was"
    [ $changed -ge "$(full 100)" ] || wrong 'that is too few'
    release_pages
}
# reserve_pages COUNT: for hugetlb, where that is allowed; tests reserve some too, but not meanwhile
reserve_pages() {
    exec 8>"$build/tests/huge_pages.lock" && flock -w 600 8
    pages=$(cat /proc/sys/vm/nr_hugepages 2>/dev/null)
    [ "${pages:-0}" -ge "$1" ] || { echo "$1" >/proc/sys/vm/nr_hugepages; } 2>/dev/null || true
}
release_pages() {
    { echo "$pages" >/proc/sys/vm/nr_hugepages; } 2>/dev/null || true
    exec 8>&-
}

failed=0 reader='hpprof report'
! command -v go >/dev/null || reader='go tool pprof'
mkdir profiles
[ $# -gt 0 ] || set -- calls stock steps walks swaps threads forks kills looks accounts remap
for part; do
    torture_"$part"
done
exit $failed
