# What remap_faults*.sh begin with: their arguments, BUILD BACKEND EVERY; a folder to work in, and nothing of the caller's
# options; what they count; and which reason fits which system call of the remap.
# shellcheck shell=bash disable=SC2034 # they use it
usage="usage: ${0##*/} BUILD BACKEND EVERY"
build=${1:?$usage} backend=${2:?$usage} every=${3:?$usage}
build=$(realpath "$build")
agent=$build/libhpprof.so programs=$build/tests/programs
work=$(mktemp -d "$build/remap_faults.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
unset "${!HPPROF_@}" LD_PRELOAD
status=0 injected=0 changed=0

# names_call CALL FILE ERROR: whether of the reasons in the file new, `REASON|ERROR` a line, each is that CALL, made from
# FILE, failed with ERROR
names_call() {
    local fits error
    case $1 in
    0 | 2 | 257) fits='cannot be (opened|read)|could not be read' ;; # read, open, openat
    5 | 262) fits='fstat|cannot be opened' ;;
    9) fits='no address space|cannot be mapped|may not be mapped|cannot be read|not enough reserved|cannot be reserved' ;; # mmap
    10) fits='executable|executed|writable' ;; # mprotect
    17) fits='could not be read|its record is damaged' ;; # pread64
    25) fits='^mremap failed' ;;
    28) fits='core dumps|fork children|MADV_HUGEPAGE|populate|cannot be read|cached in small pages|MADV_COLLAPSE' ;; # madvise
    72) fits='sealed' ;; # fcntl
    77) fits='ftruncate' ;;
    149) fits='pinned' ;; # mlock
    310) fits='the text in memory could not be read' ;; # process_vm_readv
    319) fits='memfd_create' ;;
    451) fits='its file system gave no huge pages|cached in small pages' ;; # cachestat: what is in memory is not known then
    *) fits='this call may fail without a trace' ;;
    esac
    case $3 in 1) error='Operation not permitted' ;; *) error='Cannot allocate memory' ;; esac
    [ "$1" -ne 451 ] || error=''
    case $2 in
    headroom.c | proc_file.c) fits='control group|memory is free|/sys/.* can be read' error='.*' ;; # of several files one is enough
    maps.c) fits='/proc/self/maps cannot be read' ;;
    text_cache.c | cache_folder.c) fits='the cache of text cannot be read|copy in the cache|cache of text|its record|a folder|folders' error='.*' ;;
    esac
    awk -F'|' -v fits="$fits" -v error="^($error)\$" '
        !($1 ~ fits && ($2 ~ error || $1 ~ /record is damaged/)) { print "not of this call: " $0; bad = 1 } END { exit bad }' new
}

# cannot_work REGEX SAID: ends with 77 if SAID is that this machine has not what the backend needs, else with 1
cannot_work() {
    echo "$backend cannot work here: $2"
    grep -qE "$1" <<<"$2" && exit 77
    exit 1
}
needed() {
    case $backend in
    file) echo 'its file system gave no huge pages' ;;
    cache) echo 'this file system gives its copy no huge pages' ;;
    hugetlb) echo 'not enough reserved huge pages' ;;
    *) echo 'no backend at all' ;;
    esac
}
