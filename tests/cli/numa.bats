#!/usr/bin/env bats
# Pages that are missing where they are wanted: a reserved huge page that cannot be had at its first touch, as on a
# NUMA node without any, or because somebody has taken it, is an error that the agent sees at its stage, never a SIGBUS
# of the program's.

load helper
load backends

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
}

# group KIB: a hugetlb control group whose processes may touch so many KiB of 2 MiB pages, as $group
group() {
    mkdir -p groups
    mount -t cgroup -o hugetlb none groups 2>/dev/null || skip "no hugetlb control group can be made"
    group=$PWD/groups/hpprof-test-$$
    mkdir "$group" && echo "$1K" >"$group/hugetlb.2MB.limit_in_bytes" || skip "no hugetlb control group can be made"
}
teardown() {
    let_go
    [ -z "${overcommit-}" ] || echo "$overcommit" >/proc/sys/vm/nr_overcommit_hugepages
    backends_release
    [ -z "${group-}" ] || for _ in {1..50}; do rmdir "$group" 2>/dev/null && break || sleep 0.1; done
    umount "$BATS_TEST_TMPDIR/groups" 2>/dev/null || true
}

# inside COMMAND…: in that group, where addresses are not drawn (see agent)
inside() { sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec setarch -R env "$@"' - "$group" "$@"; }

@test "hugetlb: pages are reserved, but may not be touched: the text stays, and the profile says why" {
    reserve 8
    group 2048
    inside LD_PRELOAD="$AGENT" HPPROF_REMAP=hugetlb HPPROF_REMAP_EDGES=absorb HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" \
        "$PROGRAMS/edge_text" 0.2 >out 2>err
    cat out err
    grep -x 'differ=0 writable_executable=0 heap=ok' out
    profile_comments x.pb | grep '/edge_text$' | tee comments
    [ "$(grep -c '^hpprof.remap backend=hugetlb .* huge_kib=2048 ' comments)" -eq 1 ]
    [ "$(grep -c "^hpprof.left .* reason='the kernel could not populate the new pages'" comments)" -eq 2 ]
}

# let_go: another process has no pages any more; nobody may ever wait for it
let_go() {
    [ -s taken ] || return 0
    kill "$(cat taken)" 2>/dev/null || true
    while grep -q '^State:.[^ZX]' "/proc/$(cat taken)/status" 2>/dev/null; do sleep 0.01; done
    rm taken
}

# surplus COUNT: none are reserved, but so many can be had (vm.nr_overcommit_hugepages)
surplus() {
    reserve 0
    overcommit=${overcommit-$(cat /proc/sys/vm/nr_overcommit_hugepages)}
    { echo "$1" >/proc/sys/vm/nr_overcommit_hugepages; } 2>/dev/null || skip "no huge pages can be reserved"
}

# at_each_call READY COMMAND: right before each system call of the move by hugetlb that COMMAND runs, each time after READY.
# The program runs on, its text is the file's, and is all on huge pages, or stays for want of such.
at_each_call() {
    local call count=0 moved=0
    "$PROGRAMS/fail_call" "$AGENT" 0 0 /bin/true 2>err || skip "ptrace is not possible"
    export HPPROF_REMAP=hugetlb HPPROF_CACHE=off HPPROF_SESSION=$PWD/session
    $1
    mkdir session
    "$PROGRAMS/fail_call" "$AGENT" 0 0 "$PROGRAMS/text_check" >out 2>list
    grep -E '^main inward_kib=([0-9]*) huge_kib=\1 differ=0$' out
    cut -d' ' -f2 list | addr2line -a -i -e "$AGENT" | awk '/^0x/ { n++ } /preload\/remap\/(swap|hugetlb|compare)\.c/ && own != n { print own = n }' >calls
    while read -r call; do
        $1
        rm -f session/*.pb
        "$PROGRAMS/fail_call" "$AGENT" "$call" "!$2" "$PROGRAMS/text_check" >out 2>err </dev/null || {
            echo "call $call: exit status $?"
            cat out err
            return 1
        }
        let_go
        flock -w 20 session/*.pb true
        profile_comments session/*.pb | grep -E '^hpprof.(remap|left) .*/text_check$' >comments
        if grep -qE '^main inward_kib=([0-9]*) huge_kib=\1 differ=0$' out; then
            grep -q '^hpprof.remap backend=hugetlb ' comments
            moved=$((moved + 1))
        else
            cat out comments
            grep -qE '^main inward_kib=[0-9]* huge_kib=0 differ=0$' out
            grep -q "^hpprof.left .*reason='not enough reserved huge pages of 2 MiB (vm.nr_hugepages)'" comments
        fi
        grep -qx 'writable_executable=0' out
        count=$((count + 1))
    done <calls
    echo "$count calls, $moved moved all the same"
    check "$count" '>=' 10
    check "$moved" '>' 0
    check "$moved" '<' "$count"
}

reserve_eight() { reserve 8; }
surplus_eight() { surplus 8; }
@test "hugetlb: the reservation is taken away at any system call of a move" {
    at_each_call reserve_eight 'echo 0 >/proc/sys/vm/nr_hugepages'
}
@test "hugetlb: another process takes all reserved pages at any system call of a move" {
    at_each_call reserve_eight "$PROGRAMS/take_pages >taken"
}
@test "hugetlb: pages beyond the reserved ones (vm.nr_overcommit_hugepages) may not be had any more at any system call of a move" {
    at_each_call surplus_eight 'echo 0 >/proc/sys/vm/nr_overcommit_hugepages'
}

@test "hugetlb: the reservation goes and comes while text is moved under a running program, and while it forks" {
    local pid work
    reserve 12
    HPPROF_REMAP=off HPPROF_FREQ=997 HPPROF_OUT="$PWD/former.pb" agent "$PROGRAMS/moved" work 0.5
    for work in work work work forks forks; do
        HPPROF_REMAP=hugetlb HPPROF_REMAP_WHEN=hot HPPROF_REMAP_HOT=former.pb HPPROF_OUT="$PWD/x.pb" agent "$PROGRAMS/moved" $work 0.4 >out 3>&- &
        pid=$!
        while kill -0 $pid 2>/dev/null; do
            echo 0 >/proc/sys/vm/nr_hugepages
            echo 12 >/proc/sys/vm/nr_hugepages
        done
        wait $pid
        cat out
        grep -E '^(0 wrong|[0-9]+ children: 0 failed)$' out
        flock -w 20 x.pb true
        profile_comments x.pb | grep -E '^hpprof.(remap|left) .*/moved$' | tee comments
        lacks comments "reason='mremap failed"
        rm x.pb
    done
}

@test "hugetlb: a program and its fork children write to text, and no reserved page is left for the copy" {
    reserve 8
    mkdir session
    agent HPPROF_REMAP=hugetlb HPPROF_SESSION="$PWD/session" "$PROGRAMS/writes_text" 'echo 0 >/proc/sys/vm/nr_hugepages' >out
    grep -x '0 wrong' out
    grep -a 'hpprof.remap backend=hugetlb .*/writes_text' session/*.pb
}
