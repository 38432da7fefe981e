#!/usr/bin/env bats
# Where the profile goes, and what happens where it cannot: the program must not notice.
# shellcheck disable=SC2016 # the shells of the tests expand them

load helper

setup() {
    hpprof_setup
    "$PROGRAMS/processes" child 0.01 >expected || true # its exit status is 7
}

# child [VARIABLE=VALUE…]: the program with the agent: stdout and status as without
child() {
    local status=0
    agent HPPROF_FREQ=997 "$@" "$PROGRAMS/processes" child 0.4 >out 2>err || status=$?
    cat err
    same expected out
    [ "$status" -eq 7 ]
}

@test "leaves hpprof.<program>.<pid>.pb in the directory it started in, for its owner alone" {
    child
    [ ! -s err ]
    file=$(echo hpprof.processes.*.pb)
    [[ $file =~ ^hpprof\.processes\.[0-9]+\.pb$ ]]
    [ "$(stat -c %a "$file")" = 600 ]
    [ "$(profile_comments "$file" | sed -n 's/^hpprof.process .*pid=\([0-9]*\).*/\1/p')" = "${file//[^0-9]/}" ]
    has_samples <(profile_folded "$file") 50
}

@test "the default is 99 samples a CPU-second" {
    agent HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" return 0.6 || true
    profile_message x.pb | grep -x 'period: 10101010'
    has_samples <(profile_folded x.pb) 55
    check "$(profile_told x.pb)" '<=' 65
}

@test "leaves no file where there was no sample" {
    agent HPPROF_FREQ=1 /bin/true # of a period of 10 ms it may use a part at the end of which there is a tick
    [ -z "$(ls -- *.pb hpprof* 2>/dev/null)" ]
}

@test "descendants write into one folder beside the first one's file" {
    agent HPPROF_FREQ=997 "$PROGRAMS/processes" fork 0.4 >out
    wait_profiles . 2
    file=$(echo hpprof.processes.*.pb)
    [ -d "${file%.pb}.d" ]
    [ "$(find "${file%.pb}.d" -name '*.pb' | wc -l)" -eq 1 ]
}

@test "a program's name may hold anything" {
    local name
    for name in 'a b' "quote'" 'semi;colon' $'\xff\xfe' '%p' $'new\nline' -dash; do
        cp "$PROGRAMS/endings" "./$name"
        rm -f ./hpprof.*
        agent HPPROF_FREQ=997 "./$name" return 0.4 || true
        find . -name 'hpprof.*.pb' -exec cp {} profile.pb \;
        find . -name 'hpprof.*.pb' -print0 | tr -dc '\0' | cmp - <(printf '\0')
        profile_message profile.pb >message # which insists on UTF-8
        has_samples <(profile_folded profile.pb) 200
        hpprof report profile.pb # (FORMAT.md: a path that is not UTF-8 cannot be found again)
        rm -f "./$name" profile.pb
    done
}

@test "the writer is killed: the program runs on, the profile is readable" {
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" last_thread 1.5 >out 3>&- &
    program=$!
    for _ in {1..600}; do
        sleep 0.05
        writer=$(find /proc/[0-9]*/fd -lname "$PWD/x.pb" 2>/dev/null | cut -d/ -f3)
        # the program, too, holds the file for a moment, before anything is in it
        [ ! -s x.pb ] || [ "$(wc -w <<<"$writer")" -ne 1 ] || break
    done
    kill -KILL "$writer"
    wait "$program"
    [ "$(cat out)" = $'before the end\nlast thread returns' ]
    [ ! -e x.pb ] || hpprof report x.pb
}

@test "HPPROF_OUT: %e is the program's name, %p its pid" {
    child HPPROF_OUT="$PWD/a.%e.%p.pb"
    [[ $(echo a.*) =~ ^a\.processes\.[0-9]+\.pb$ ]]
}

@test "HPPROF_OUT: %e is the name of the file that is executed, whatever it is called by" {
    local loop='for ((i = 0; i < 300000; i++)); do :; done'
    mkdir bin && cp "$(command -v bash)" bin/real && ln -s real bin/link && ln -s bin also
    printf '#!%s\n%s\n' "$PWD/bin/real" "$loop" >script
    printf '#!%s\n%s\n' "$PWD/script" "$loop" >outer # an interpreter that is a script
    chmod +x script outer
    named_real() {
        rm -f named.*
        agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/named.%e.pb" "$@"
        profile_comments named.real.pb | grep "^hpprof.process .* image=$PWD/bin/real$"
    }
    named_real bin/real -c "$loop"
    named_real bin/link -c "$loop"
    named_real "$PWD/also/real" -c "$loop"
    named_real also/../bin/real -c "$loop" also/../bin/real # as if it were a script
    PATH=$PWD/bin:$PATH named_real link -c "$loop"
    named_real ./script
    named_real "$PWD/outer"
}

@test "HPPROF_OUT, relative: to where the program started" {
    mkdir sub
    child HPPROF_OUT=sub/x.pb
    has_samples <(profile_folded sub/x.pb) 50
}

@test "HPPROF_PROGRAMS: no profile of a program that does not match" {
    child HPPROF_PROGRAMS='other*' HPPROF_OUT="$PWD/x.pb"
    [ ! -e x.pb ]
    child HPPROF_PROGRAMS='proc*' HPPROF_OUT="$PWD/x.pb"
    has_samples <(profile_folded x.pb) 50
}

# bad NAME VALUE ALLOWED: one line that names all three; then the default
bad() {
    rm -f x.pb
    child HPPROF_OUT="$PWD/x.pb" "$1=$2"
    [ "$(wc -l <err)" -eq 1 ]
    grep -q '^hpprof: ' err
    grep -qF -e "$1" err
    grep -qF -e "$2" err
    grep -qE -e "$3" err
    has_samples <(profile_folded x.pb) 5
}

@test "a bad value in the environment: one clear line, and the program runs" {
    bad HPPROF_FREQ fast '1.*10000'
    bad HPPROF_FREQ 0 '1.*10000'
    bad HPPROF_FREQ 10001 '1.*10000'
    bad HPPROF_REMAP sideways 'auto.*anon.*off'
    bad HPPROF_REMAP_MIN 12Q '0\.\.1024G'
    bad HPPROF_REMAP_MAX -1 '0\.\.1024G'
    bad HPPROF_VALIDATE maybe 'auto.*pipe'
}

@test "two bad values: a line each" {
    child HPPROF_OUT="$PWD/x.pb" HPPROF_VALIDATE=maybe HPPROF_REMAP=sideways
    [ "$(grep -c '^hpprof: ' err)" -eq 2 ]
    [ "$(wc -l <err)" -eq 2 ]
}

@test "a bad value and no stderr to say it on" {
    status=0
    agent HPPROF_FREQ=fast HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/processes" child 0.4 >out 2>&- || status=$?
    [ "$status" -eq 7 ]
    same expected out
}

# complains FILE REASON: one line on stderr that names the file and says why
complains() {
    [ "$(grep -c '^hpprof: ' err)" -eq 1 ]
    grep -F -e "$1" err
    grep -E -e "$2" err
}

@test "an output directory that is missing" {
    child HPPROF_OUT="$PWD/missing/x.pb"
    complains missing/x.pb 'No such file'
}

@test "a file that is already there is not overwritten, nor a link followed: the next free name" {
    echo precious >x.pb
    ln -s precious link.pb
    child HPPROF_OUT="$PWD/x.pb"
    [ "$(cat x.pb)" = precious ]
    has_samples <(profile_folded x.pb.1) 50
    child HPPROF_OUT="$PWD/link.pb"
    [ ! -e precious ]
    has_samples <(profile_folded link.pb.1) 50
}

# mounted OPTIONS COMMAND…: in a mount namespace of its own with a tmpfs at ./disk
mounted() {
    mkdir -p disk
    unshare -rm true || skip "cannot make a mount namespace"
    unshare -rm bash -c 'mount -t tmpfs -o "$1" hpprof-test disk && shift && "$@"' mounted "$@"
}

export_functions() {
    export -f child agent same complains check hpprof profile_samples profile_told profile_unsampled profile_folded \
        folded_weight profile_message
    export AGENT PROGRAMS ROOT
}

@test "an output directory that is read-only" {
    export_functions
    mounted ro bash -ec 'child HPPROF_OUT="$PWD/disk/x.pb"; complains disk/x.pb "Read-only"'
}

@test "an output directory that is really full: output unchanged, loss reported" {
    export_functions
    mounted size=64k bash -ec '
        dd if=/dev/zero of=disk/fill bs=1k count=1000 2>/dev/null || true
        child HPPROF_OUT="$PWD/disk/x.pb"
        complains disk/x.pb "No space"'
}

@test "an output directory that gets full: what is written is whole, the loss is reported" {
    export_functions
    mounted size=64k bash -ec '
        dd if=/dev/zero of=disk/fill bs=4k count=15 2>/dev/null
        agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/disk/x.pb" "$PROGRAMS/shares_drawn" 3 1 >out 2>err
        [ "$(wc -l <out)" -eq 12 ]
        cat err
        ls -l disk
        [ ! -s disk/x.pb ] || profile_samples disk/x.pb
        complains disk/x.pb "No space"'
}

@test "a limit on file size does not end the program" {
    (ulimit -f 0 && agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" exit_now 0.1) | cat >out
    [ "${PIPESTATUS[0]}" -eq 3 ]
    [ "$(cat out)" = 'before the end' ]
}
