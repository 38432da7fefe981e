#!/usr/bin/env bats
# Where huge pages, memory, address space or the right to execute memory cannot be had: by every backend, at start and
# while the program runs, it does what it does without, its text is the file's, and what stayed is told with the reason.

load helper
load backends
load profiles

setup_file() {
    hpprof_setup
    former_profile "$BATS_FILE_TMPDIR/former.pb" "$PROGRAMS/moved"
}
setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
}
teardown() {
    backends_release
    [ -z "${group-}" ] || for _ in {1..50}; do rmdir "$group" 2>/dev/null && break || sleep 0.1; done
}

# told FIELD KIND: the sum of a field of what comments tells of ./program
told() {
    grep -E "^hpprof.$2 .*image=/[^ ]*/program$" comments | sed -n "s/.* $1=\([0-9]*\).*/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}

# the_same COMMAND…: ./program under it, by the present backend: output and text are right, all text is told of: inward KiB
the_same() {
    rm -rf session && mkdir session
    "$@" env LD_PRELOAD="$AGENT" HPPROF_SESSION="$PWD/session" ./program "${ARGUMENTS[@]}" >out 2>err
    cat out err
    [ ! -s err ]
    flock -w 20 session/*.pb true # the writer outlives the program, by little
    profile_comments session/*.pb | grep -E '^hpprof.(remap|left) ' | tee comments
    if [ "$HPPROF_REMAP_WHEN" = start ]; then
        grep -qx 'all images=[0-9]* differ=0' out
        grep -qx 'writable_executable=0' out
        inward=$(sed -n 's/^main inward_kib=\([0-9]*\).*/\1/p' out)
        # a control group takes back what it can
        [ -n "${group-}" ] || check "$(told huge_kib remap)" '<=' "$(sed -n 's/^main .*huge_kib=\([0-9]*\) .*/\1/p' out)"
    else
        grep -qx '0 wrong' out
        inward=18432
    fi
    check "$(($(told asked_kib remap) + $(told eligible_kib left)))" '==' "$inward" 'KiB told of'
}

# some_stays REASON: at least a part was left, for that; stays REASON: nothing was moved
stays() {
    [ "$(told asked_kib remap)" -eq 0 ]
    some_stays "$1"
}
some_stays() {
    grep -E "^hpprof.left .* reason=.*$1.* image=/[^ ]*/program$" comments
}

# by BACKEND COMMAND…: at start and hot
by() {
    local backend=$1
    shift
    for HPPROF_REMAP_WHEN in start hot; do
        echo "== $backend, $HPPROF_REMAP_WHEN"
        export HPPROF_REMAP_WHEN HPPROF_REMAP_HOT=''
        ARGUMENTS=()
        if [ $HPPROF_REMAP_WHEN = hot ]; then
            HPPROF_REMAP_HOT=$BATS_FILE_TMPDIR/former.pb
            ARGUMENTS=(work 0.4)
        fi
        ready "$backend" "$PROGRAMS/$([ $HPPROF_REMAP_WHEN = hot ] && echo moved || echo text_check_large)"
        "$@" # not in a condition: what fails in it would go on
    done
}

in_never() {
    the_same unshare -m bash -c 'mount --bind never /sys/kernel/mm/transparent_hugepage/enabled; exec "$@"' -
    case $HPPROF_REMAP in
    anon | file | cache) stays 'transparent huge pages are off' ;;
    esac
}
never_by() {
    unshare -m true 2>/dev/null || skip "cannot make a mount namespace"
    echo 'always madvise [never]' >never
    by "$1" in_never
}
@test "transparent huge pages: never, by anon" { never_by anon; }
@test "transparent huge pages: never, by memfd" { never_by memfd; }
@test "transparent huge pages: never, by hugetlb" { never_by hugetlb; }
@test "transparent huge pages: never, by file" { never_by file; }
@test "transparent huge pages: never, by cache" { never_by cache; }
@test "transparent huge pages: never, by auto" { never_by auto; }

in_disabled() {
    the_same "$PROGRAMS/deny" huge-pages 0
    case $HPPROF_REMAP in
    anon | file | cache) stays 'PR_SET_THP_DISABLE' ;;
    esac
}
@test "PR_SET_THP_DISABLE, by anon" { by anon in_disabled; }
@test "PR_SET_THP_DISABLE, by memfd" { by memfd in_disabled; }
@test "PR_SET_THP_DISABLE, by hugetlb" { by hugetlb in_disabled; }
@test "PR_SET_THP_DISABLE, by file" { by file in_disabled; }
@test "PR_SET_THP_DISABLE, by cache" { by cache in_disabled; }
@test "PR_SET_THP_DISABLE, by auto" { by auto in_disabled; }

in_mdwe() {
    the_same "$PROGRAMS/deny" exec-gain 0
    case $HPPROF_REMAP in
    anon | hugetlb) stays 'may not be made executable here' ;;
    memfd | cache) check "$(told huge_kib remap)" '>=' 2048 ;;
    file) [ "$HPPROF_REMAP_WHEN" = hot ] || grep 'gave no huge pages' comments || check "$(told huge_kib remap)" '>=' 2048 ;;
    esac
}
mdwe_by() {
    "$PROGRAMS/deny" exec-gain 0 true || skip "the kernel has no PR_SET_MDWE"
    by "$1" in_mdwe
}
@test "memory may not become executable (PR_SET_MDWE), by anon" { mdwe_by anon; }
@test "memory may not become executable (PR_SET_MDWE), by memfd" { mdwe_by memfd; }
@test "memory may not become executable (PR_SET_MDWE), by hugetlb" { mdwe_by hugetlb; }
@test "memory may not become executable (PR_SET_MDWE), by file" { mdwe_by file; }
@test "memory may not become executable (PR_SET_MDWE), by cache" { mdwe_by cache; }
@test "memory may not become executable (PR_SET_MDWE), by auto" { mdwe_by auto; }

# as much as the program and the agent need, and not enough, or enough, for a stage; while the program runs that is to be
# little beside what is left
in_space() {
    local size few='32000 44000' enough=60000 reason='no address space'
    [ "$HPPROF_REMAP_WHEN" = start ] || { few=44000 && enough=200000 && reason='limit on its memory .ulimit -v or -d.'; }
    for size in $few $enough; do
        echo "ulimit -v $size"
        the_same bash -c 'ulimit -v $0 && exec "$@"' "$size"
        case $HPPROF_REMAP in
        anon | memfd)
            if [ "$size" -lt $enough ]; then
                stays "$reason"
            else
                check "$(told huge_kib remap)" '>=' "$([ "$HPPROF_REMAP_WHEN" = start ] && echo "$inward" || echo 4096)"
            fi
            ;;
        esac
    done
}
@test "little address space (RLIMIT_AS), by anon" { by anon in_space; }
@test "little address space (RLIMIT_AS), by memfd" { by memfd in_space; }
@test "little address space (RLIMIT_AS), by hugetlb" { by hugetlb in_space; }
@test "little address space (RLIMIT_AS), by file" { by file in_space; }
@test "little address space (RLIMIT_AS), by cache" { by cache in_space; }
@test "little address space (RLIMIT_AS), by auto" { by auto in_space; }

in_tight_space() {
    [ "$HPPROF_REMAP_WHEN" = hot ] || return 0
    ARGUMENTS=(tight 0.5)
    the_same env
    grep -qx '0 failed' out
    case $HPPROF_REMAP in
    anon | memfd | hugetlb | cache) stays 'limit on its memory .ulimit -v or -d. leaves too little room' ;;
    esac
}
@test "a program that maps nearly all that RLIMIT_AS leaves it, while its text is moved: nothing fails for that, by anon" { by anon in_tight_space; }
@test "a program that maps nearly all that RLIMIT_AS leaves it, while its text is moved: nothing fails for that, by memfd" { by memfd in_tight_space; }
@test "a program that maps nearly all that RLIMIT_AS leaves it, while its text is moved: nothing fails for that, by hugetlb" { by hugetlb in_tight_space; }
@test "a program that maps nearly all that RLIMIT_AS leaves it, while its text is moved: nothing fails for that, by file" { by file in_tight_space; }
@test "a program that maps nearly all that RLIMIT_AS leaves it, while its text is moved: nothing fails for that, by cache" { by cache in_tight_space; }
@test "a program that maps nearly all that RLIMIT_AS leaves it, while its text is moved: nothing fails for that, by auto" { by auto in_tight_space; }

in_group() {
    the_same sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group"
    case $HPPROF_REMAP in
    anon | memfd) some_stays 'the memory limit of the control group leaves too little room' ;;
    esac
}
group_by() {
    group=/sys/fs/cgroup/memory/hpprof-test-$$
    mkdir "$group" 2>/dev/null || { group='' && skip "no memory control group can be made"; }
    echo 12M >"$group/memory.limit_in_bytes"
    by "$1" in_group
}
@test "a control group without room, by anon" { group_by anon; }
@test "a control group without room, by memfd" { group_by memfd; }
@test "a control group without room, by hugetlb" { group_by hugetlb; }
@test "a control group without room, by file" { group_by file; }
@test "a control group without room, by cache" { group_by cache; }
@test "a control group without room, by auto" { group_by auto; }

@test "a control group without room, entered while it runs" {
    local try pid
    group=/sys/fs/cgroup/memory/hpprof-test-$$
    mkdir "$group" 2>/dev/null || { group='' && skip "no memory control group can be made"; }
    echo 3M >"$group/memory.limit_in_bytes"
    mkfifo held
    make_ready anon "$PROGRAMS/moved"
    HPPROF_REMAP_WHEN=hot HPPROF_OUT="$PWD/later.pb" env LD_PRELOAD="$AGENT" ./program later 1.8 <held >out 3>&- &
    pid=$!
    exec 9>held
    for ((try = 0; try < 600; try++)); do
        ! grep -q ready out || break
        sleep 0.05
    done
    grep ready out
    echo $pid >"$group/cgroup.procs"
    echo >&9
    exec 9>&-
    wait $pid
    grep -x '0 wrong' out
    flock -w 20 later.pb true
    profile_comments later.pb | tee comments
    grep "^hpprof.left .*reason='the memory limit of the control group leaves too little room' image=.*/program$" comments
    lacks comments '^hpprof.remap .*/program$'
}

@test "files may not become large (RLIMIT_FSIZE)" {
    ARGUMENTS=()
    export HPPROF_REMAP_WHEN=start
    make_ready memfd "$PROGRAMS/text_check_large"
    the_same bash -c 'ulimit -f 2048 && exec "$@"' -
    stays 'RLIMIT_FSIZE allows no image'
}
