#!/usr/bin/env bats
# The profile's file while it grows: bounded, and whole whatever becomes of the disk. The program must not notice.
# shellcheck disable=SC2016 # the shells of the tests expand them

load helper

setup() { hpprof_setup; }

# holds FILE SAMPLES: it can be read, has so many samples at least, and nothing is left over beside it
holds() {
    hpprof report "$1" >report
    has_samples <(profile_folded "$1") "$2"
    [ -z "$(find . -name '.hpprof*')" ]
}

# cpu_time PID: what that process has used, in seconds
cpu_time() {
    awk -v hertz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hertz }' "/proc/$1/stat"
}

# until_used PID SECONDS: until that process has used so much more CPU time: the writer has had its share by then, too
until_used() {
    local from
    from=$(cpu_time "$1")
    for _ in {1..1200}; do
        awk -v from="$from" -v now="$(cpu_time "$1")" -v more="$2" 'BEGIN { exit now - from < more }' && return
        sleep 0.05
    done
    return 1
}

@test "HPPROF_FILE_MAX: the file is aggregated anew, its sum and its readers' results stay" {
    "$ROOT/bench/gen_c.sh" code.c 3
    agent HPPROF_FREQ=997 HPPROF_FILE_MAX=64K HPPROF_OUT="$PWD/x.pb" gcc -O2 -c code.c -o code.o 2>err
    [ ! -s err ]
    wait_profiles x.d 2
    mv x.d/hpprof.cc1.*.pb cc1.pb
    holds cc1.pb 1000
    # addresses alone may be more than the bound: it gives way a little
    check "$(stat -c %s cc1.pb)" '<=' 98304
    [ "$(stat -c %a cc1.pb)" = 600 ]
    profile_comments cc1.pb | tee comments
    grep -E '^hpprof.aggregated seconds=[0-9]+ before=[0-9]+ after=[0-9]+' comments
    grep -E '^hpprof.end cause=exit' comments
    lacks comments 'write_errors|lost_weight'
    check "$(grep -oE 'flat s|malloc|bitmap' report | wc -l)" '>=' 2
}

@test "HPPROF_FILE_MAX: a bad value gets one clear line" {
    agent HPPROF_FILE_MAX=1K "$PROGRAMS/endings" return 0.1 2>err || true
    [ "$(wc -l <err)" -eq 1 ]
    grep -F 'HPPROF_FILE_MAX=1K is not allowed' err
}

@test "a limit on file size: the program does not see it, the profile is made to fit" {
    (ulimit -f 64 && agent HPPROF_FREQ=9973 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/shares_drawn" 5 1 >out 2>err)
    lacks err '^hpprof'
    check "$(stat -c %s x.pb)" '<=' 65536
    holds x.pb 40000
}

@test "a limit on file size that nothing fits: counted and told, exit status as without" {
    for how in '' 'env -u X "$PROGRAMS/deny" clone-vm 11'; do
        rm -f x.pb*
        status=0
        # shellcheck disable=SC2086 # words
        (ulimit -f 1 && eval "$how" 'env LD_PRELOAD="$AGENT" HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb"' \
            '"$PROGRAMS/endings" return 0.8') >out 2>err || status=$?
        cat err
        [ "$status" -eq 1 ]
        grep -F 'File too large' err
        [ ! -s x.pb ] || hpprof report x.pb
    done
}

@test "the file and its folder are removed while the program runs: made again with all that it held" {
    mkdir folder
    LD_PRELOAD=$AGENT HPPROF_FREQ=997 HPPROF_OUT=$PWD/folder/x.pb "$PROGRAMS/endings" return 6 >out 2>err 3>&- &
    program=$!
    for _ in {1..600}; do
        [ ! -s folder/x.pb ] || break
        sleep 0.02
    done
    rm -r folder
    until_used "$program" 1.5 # an attempt has failed
    mkdir folder
    wait "$program" || true
    cat err
    [ ! -s err ]
    holds folder/x.pb 3000
    profile_comments folder/x.pb | grep -E '^hpprof.lost.* write_errors='
}

@test "a folder that is gone for good: one line says what is lost" {
    mkdir folder
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/folder/x.pb" "$PROGRAMS/endings" return 3 >out 2>err 3>&- &
    program=$!
    for _ in {1..600}; do
        [ ! -s folder/x.pb ] || break
        sleep 0.02
    done
    rm -r folder
    status=0
    wait "$program" || status=$?
    [ "$status" -eq 1 ]
    cat err
    [ "$(wc -l <err)" -eq 1 ]
    grep -E 'cannot write .*/folder/x.pb: No such file or directory; [0-9]+ samples are lost' err
}

@test "a disk that is full for a while: retried, nothing is lost but the count of failures" {
    unshare -rm true || skip "cannot make a mount namespace"
    mkdir disk
    export AGENT PROGRAMS
    export -f until_used cpu_time
    unshare -rm bash -ec '
        mount -t tmpfs -o size=128k hpprof-test disk
        dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null || true
        LD_PRELOAD=$AGENT HPPROF_FREQ=997 HPPROF_OUT="$PWD/disk/x.pb" "$PROGRAMS/shares_drawn" 4 1 >out 2>err &
        until_used $! 2 # the first attempts were to come after 0.25 s, and each second
        rm disk/fill
        wait
        cp disk/x.pb .'
    lacks err '^hpprof'
    holds x.pb 3000
    profile_comments x.pb | grep -E '^hpprof.lost.* write_errors='
    profile_comments x.pb >comments
    lacks comments 'lost_weight'
}
