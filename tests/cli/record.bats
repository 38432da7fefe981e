#!/usr/bin/env bats
# hpprof record: a whole process tree into one profile, the command's own status, a summary.

load helper

setup() {
    hpprof_setup
}

# record ARGUMENT…: stdout, stderr and status in files
record() {
    local status=0
    hpprof record "$@" >out 2>err </dev/null || status=$?
    echo "$status" >status
    cat err
}

# summary REGEX: a part of what it says at the end
summary() { grep -Ei -e "$1" err; }

@test "a process tree: one file, its processes and pids as labels" {
    record -o tree.pb -F 997 -- "$PROGRAMS/processes" waitall 0.3
    [ "$(cat status)" -eq 0 ]
    grep -x 'waited for 3, statuses 6, then No child processes' out
    [ "$(find . -name '*.pb*' -o -name '*.d' | sort)" = ./tree.pb ]
    profile_message tree.pb >message
    grep -x 'string_table: "process"' message
    grep -x 'string_table: "pid"' message
    hpprof report --by process tree.pb | tee report
    [ "$(grep -c processes report)" -ge 1 ]
    hpprof flamegraph --folded tree.pb >folded
    has_samples folded 250 'burn_parent$'
    has_samples folded 750 'burn_child$'
}

@test "the summary: processes, CPU-seconds, samples, losses, huge pages, the next command" {
    record -o sum.pb -F 997 -- "$PROGRAMS/shares_fixed" 0.5
    summary '1 process'
    summary 'CPU'
    summary '[0-9]+ samples'
    summary 'lost|dropped|loss'
    ! huge_pages_on || summary '2.*MiB.*huge pages|huge pages.*2.*MiB'
    summary 'hpprof report sum.pb'
    grep alpha_work out
}

@test "the default file is hpprof.pb" {
    record -- "$PROGRAMS/endings" return 0.2
    [ -s hpprof.pb ]
    [ "$(cat status)" -eq 1 ]
}

@test "--separate keeps one profile a process" {
    record --separate -F 997 -o tree.pb -- "$PROGRAMS/processes" fork 0.4
    [ "$(find tree.pb.d -name '*.pb' | wc -l)" -eq 2 ]
    for file in tree.pb.d/*.pb; do
        has_samples <(profile_folded "$file") 200
        hpprof report "$file"
    done
}

@test "the command's exit status and its signal" {
    record -- "$PROGRAMS/endings" exit_now 0.1
    [ "$(cat status)" -eq 3 ]
    record -- "$PROGRAMS/endings" kill 0.1
    [ "$(cat status)" -eq 137 ]
    record -- "$PROGRAMS/endings" segv 0.1
    [ "$(cat status)" -eq 139 ]
    [ -s hpprof.pb ]
}

@test "a command that does not exist: 127" {
    PATH=/usr/bin:/bin record -- no-such-command # what may not be entered in the caller's path is of no interest
    [ "$(cat status)" -eq 127 ]
    [ "$(wc -l <err)" -eq 1 ]
    grep '^hpprof: .*no-such-command' err
    [ ! -e hpprof.pb ]
}

@test "a command that may not run: 126" {
    echo hello >no-program
    record -- ./no-program
    [ "$(cat status)" -eq 126 ]
    [ "$(wc -l <err)" -eq 1 ]
    grep '^hpprof: .*no-program' err
    record -- /
    [ "$(cat status)" -eq 126 ]
}

@test "no command: usage, 2" {
    record
    [ "$(cat status)" -eq 2 ]
    record -o x.pb
    [ "$(cat status)" -eq 2 ]
    record --frequency 3 -- true
    [ "$(cat status)" -eq 2 ]
    grep -e '--frequency' err
    record -F many -- true
    [ "$(cat status)" -eq 2 ]
    grep many err
}

@test "a file that cannot be written: said before the command runs" {
    record -o missing/x.pb -- touch ran
    [ "$(cat status)" -eq 1 ]
    [ ! -e ran ]
    grep '^hpprof: .*missing/x.pb' err
}

@test "a command that uses no CPU to speak of: no samples, and it says so" {
    record -o true.pb -- true
    [ "$(cat status)" -eq 0 ]
    summary 'no samples|0 samples'
}

@test "Ctrl-C ends the command and still writes the file" {
    local pid status=0
    set -m # a group of its own, to which a terminal sends the signal
    env --default-signal=INT "$HPPROF_COMMAND" record -o x.pb -F 997 -- "$PROGRAMS/endless" >out 2>err </dev/null 3>&- &
    pid=$!
    set +m
    for _ in {1..600}; do
        ! grep -qx 'a second' out || break
        sleep 0.1
    done
    kill -INT -- -$pid
    wait $pid || status=$?
    cat err
    [ "$status" -eq 130 ]
    has_samples <(profile_folded x.pb) 500 'spin$'
    summary '[0-9]+ samples'
}

@test "the program reads the terminal's input and writes its output as without" {
    echo text | hpprof record -o cat.pb -- cat >out 2>err
    [ "$(cat out)" = text ]
}

@test "options reach the agent: --remap=off" {
    record -o off.pb --remap=off -F 997 -- "$PROGRAMS/shares_fixed" 0.2
    hpprof report off.pb >/dev/null
    summary 'huge pages.*off|off.*huge pages'
}

@test "--remap-hot: a profile that is none is said before the command runs" {
    head -c 100000 /dev/urandom >noise.pb
    : >empty.pb
    mkfifo fifo.pb
    gzip -c noise.pb >noise.pb.gz
    for name in missing.pb noise.pb empty.pb fifo.pb noise.pb.gz; do
        record --remap-hot=$name -o x.pb -- touch ran
        [ "$(cat status)" -eq 1 ]
        [ "$(wc -l <err)" -eq 1 ]
        grep "^hpprof: --remap-hot: .*$name" err
        HPPROF_REMAP_HOT=$name record -o x.pb -- touch ran
        grep "^hpprof: --remap-hot: .*$name" err
    done
    [ ! -e ran ]
    [ -z "$(find . -name 'x.pb*')" ]
}

@test "--remap-hot takes a compressed profile" {
    huge_pages_on || skip "transparent huge pages are off"
    record --remap=off -F 997 -o former.pb.gz -- "$PROGRAMS/moved" work 0.4
    [ "$(head -c 2 former.pb.gz | od -An -tx1 | tr -d ' ')" = 1f8b ]
    record --remap=anon --remap-when=hot --remap-hot=former.pb.gz -F 997 -o x.pb -- "$PROGRAMS/moved" work 0.4
    grep -qx '0 wrong' out
    profile_comments x.pb | grep '^hpprof.remap backend=anon .*/moved$'
    [ "$(find . -name 'x.pb*')" = ./x.pb ]
}

@test "what the agent could not do is in the summary" {
    record -F 997 -o plain.pb -- "$PROGRAMS/shares_fixed" 0.2
    lacks err 'Note: '
    # shellcheck disable=SC2016 # the inner shell's
    record --remap=anon --remap-when=hot --remap-hot=plain.pb -F 997 -o x.pb -- sh -c 'rm plain.pb; exec "$0" 0.3' "$PROGRAMS/shares_fixed"
    grep "^Note: HPPROF_REMAP_HOT=$PWD/plain.pb: it cannot be opened; what is hot is learnt anew" err
}

@test "an option in the environment that is not allowed: said before the command runs" {
    HPPROF_REMAP_MIN=2x record -- touch ran
    [ "$(cat status)" -eq 2 ]
    grep -xF 'hpprof: HPPROF_REMAP_MIN=2x is not allowed: use a number in 0..1024G bytes (K, M, G)' err
    HPPROF_REMAP_DATA=yes record -- touch ran
    grep -xF 'hpprof: HPPROF_REMAP_DATA=yes is not allowed: use one of 0|1' err
    [ ! -e ran ]
}
