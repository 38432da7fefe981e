#!/usr/bin/env bats
# Fifty programs of /usr/bin, with and without the agent at 997 Hz and all eligible text moved: same
# stdout, same status, nothing left in the working directory.
#
# The rule: of all dynamically linked ELF programs in /usr/bin that are not setuid or setgid, in byte
# order of their names, each k-th, k so that there are fifty; where two runs without the agent differ
# or take long, the next one after it.

load helper

# answer OUT SECONDS COMMAND…: stdout, status and what it leaves in an empty directory; 124: it took too long
answer() {
    local out=$1 seconds=$2 status=0
    shift 2
    rm -rf work && mkdir work
    (cd work && exec timeout "$seconds" "$@" </dev/null >"../$out" 2>/dev/null) || status=$?
    { echo "status $status" && ls -A work; } >>"$out"
    [ "$status" -ne 124 ]
}

steady() {
    local flag
    for flag in --version --help; do
        answer "$1$flag.1" 10 "/usr/bin/$1" $flag && answer "$1$flag.2" 10 "/usr/bin/$1" $flag || return 1
        cmp -s "$1$flag.1" "$1$flag.2" || return 1
    done
}

setup_file() {
    local all step i name
    hpprof_setup
    cd "$BATS_FILE_TMPDIR" || return
    mkdir home
    export HOME=$BATS_FILE_TMPDIR/home # what they leave there is no matter
    find /usr/bin -maxdepth 1 -type f -perm -001 ! -perm /6000 -print0 | LC_ALL=C sort -z |
        xargs -0 readelf -lW 2>/dev/null | awk '/^File: / { name = $2 } /Requesting program interpreter/ { print name }' >all
    mapfile -t all <all
    step=$((${#all[@]} / 50))
    for ((i = 0; i < 50 * step; i += step)); do
        for name in "${all[@]:i:step}"; do
            name=${name##*/}
            steady "$name" && echo "$name" && break
        done
    done >drawn
}

setup() {
    cd "$BATS_FILE_TMPDIR" || return
}

# unchanged FLAG
unchanged() {
    local name bad=0
    mkdir -p profiles
    while read -r name; do
        answer "$name$1.agent" 60 env LD_PRELOAD="$AGENT" HPPROF_FREQ=997 HPPROF_REMAP=anon \
            HPPROF_OUT="$PWD/profiles/%e.%p.pb" "/usr/bin/$name" "$1" || true
        cmp -s "$name$1.1" "$name$1.agent" && continue
        # one that says something else by now, without the agent too, proves nothing
        answer "$name$1.again" 60 "/usr/bin/$name" "$1" || true
        ! cmp -s "$name$1.1" "$name$1.again" || same "$name$1.1" "$name$1.agent" || bad=1
    done <drawn
    [ "$bad" -eq 0 ]
}

@test "fifty programs are drawn" {
    cat drawn
    [ "$(wc -l <drawn)" -eq 50 ]
}

@test "--version" {
    unchanged --version
}

@test "--help" {
    unchanged --help
}
