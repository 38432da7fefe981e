# Each backend of the remap where it can work, for the tests of the remap. Loaded after helper; a file that loads it
# calls backends_release from its teardown.
# shellcheck shell=bash

# reserve_pages COUNT: huge pages for hugetlb, for this test alone, until backends_release; why not is in cannot
reserve_pages() {
    cannot="no huge pages can be reserved"
    if [ -z "${reserved-}" ]; then
        exec 8>"${PROGRAMS%/programs}/huge_pages.lock" && flock -w 200 8 || return
        reserved=$(cat /proc/sys/vm/nr_hugepages)
    fi
    { echo "$1" >/proc/sys/vm/nr_hugepages; } 2>/dev/null && [ "$(cat /proc/sys/vm/nr_hugepages)" -ge "$1" ]
}
reserve() { reserve_pages "$1" || skip "$cannot"; }

backends_release() {
    [ -n "${reserved-}" ] || return 0
    { echo "$reserved" >/proc/sys/vm/nr_hugepages; } 2>/dev/null || true
    exec 8>&-
}

# cold FILE: nothing of it is in the page cache
cold() {
    sync "$1"
    dd if="$1" iflag=nocache count=0 status=none
}

# make_ready BACKEND PROGRAM: what BACKEND needs for a copy of PROGRAM, ./program, is there; HPPROF_REMAP is it. Where it
# cannot work, why is in cannot.
make_ready() {
    export HPPROF_REMAP=$1
    cp --remove-destination "$2" program # a writer that is about to end may still have the one before mapped
    case $1 in
    hugetlb) reserve_pages 12 ;;
    file) cold program ;;
    cache)
        export HPPROF_TEXT_CACHE=$PWD/text
        cannot="this file system gives no huge pages"
        hpprof cache warm --text "$PWD/program" >warmed 2>&1 || {
            cat warmed
            grep -q 'this file system gives its copy no huge pages' warmed || cannot=''
            return 1
        }
        ;;
    esac
}
# ready BACKEND PROGRAM: the same, or the test is skipped
ready() { make_ready "$@" || { [ -n "$cannot" ] && skip "$cannot"; }; }
