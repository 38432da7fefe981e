#!/usr/bin/env bats
# What switches profiling off and on, and how often it is put on disk.

load helper

setup_file() {
    hpprof_setup
    go_pprof_setup
}

setup() { hpprof_setup; }

@test "the kill switch: nothing is profiled, nothing is moved, one system call asks for it" {
    strace -o /dev/null true || skip "ptrace is not possible"
    : >off
    status=0
    agent HPPROF_OFF_FILE="$PWD/off" HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" strace -f -o calls \
        "$PROGRAMS/text_check" >out 2>err || status=$?
    [ "$status" -eq 0 ]
    [ ! -s err ]
    [ ! -e x.pb ]
    grep -E '^main .*huge_kib=0 differ=0$' out
    [ "$(grep -c "$PWD/off" calls)" -eq 1 ]
    # what comes after it is the program's own: nothing of what sampling or moving begins with
    sed -n "\\,$PWD/off,,\$p" calls >after
    lacks after 'timer_create|mremap|clone|SIGPROF|SIGEV_THREAD_ID'
}

@test "the kill switch: threads, signals and forks of the program are its own" {
    : >off
    for program in 'threads named 0.1' 'processes fork 0.1' 'signals handler 0.1'; do
        # shellcheck disable=SC2086 # words
        set -- $program
        status=0 expected=0
        "$PROGRAMS/$1" "${@:2}" >expected.out 2>&1 || expected=$?
        agent HPPROF_OFF_FILE="$PWD/off" HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/$1" "${@:2}" >out 2>&1 || status=$?
        [ "$status" -eq "$expected" ]
    done
    [ ! -e x.pb ]
    [ ! -e x.d ]
}

@test "the kill switch: other options are not looked at, and without the file all is as ever" {
    : >off
    agent HPPROF_OFF_FILE="$PWD/off" HPPROF_FREQ=nonsense "$PROGRAMS/endings" return 0.1 2>err || true
    [ ! -s err ]
    rm off
    agent HPPROF_OFF_FILE="$PWD/off" HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" return 0.4 || true
    has_samples <(profile_folded x.pb) 200
}

@test "the kill switch: hpprof record runs the command and says why there is no profile" {
    : >off
    HPPROF_OFF_FILE=$PWD/off hpprof record -o x.pb -- "$PROGRAMS/endings" return 0.1 2>err || true
    cat err
    grep -F "$PWD/off exists" err
    [ ! -e x.pb ]
}

# times FILE: the seconds that its samples' labels name, each once
times() { profile_message "$1" | profile_labels time | sort -un; }

@test "HPPROF_FLUSH: how often the profile is appended to; each sample tells the second its chunk began in" {
    began=$(date +%s)
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/often.pb" "$PROGRAMS/endings" return 2.8 || true
    agent HPPROF_FREQ=997 HPPROF_FLUSH=600 HPPROF_OUT="$PWD/seldom.pb" "$PROGRAMS/endings" return 2.8 || true
    ended=$(date +%s)
    times often.pb >often
    times seldom.pb >seldom
    cat often seldom
    check "$(wc -l <often)" '>=' 3
    check "$(wc -l <seldom)" '<=' 2
    check "$(head -n 1 often)" '>=' "$began"
    check "$(tail -n 1 seldom)" '<=' "$ended"
    profile_message often.pb >message
    grep -x 'string_table: "seconds"' message
}

@test "HPPROF_FLUSH=600: between the first samples and the end nothing is appended" {
    agent HPPROF_FREQ=997 HPPROF_FLUSH=600 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" return 3 >out 3>&- &
    program=$!
    for _ in {1..600}; do
        [ ! -s x.pb ] || break
        sleep 0.05
    done
    size=$(stat -c %s x.pb)
    sleep 1.2
    [ "$(stat -c %s x.pb)" -eq "$size" ]
    wait "$program" || true
    check "$(stat -c %s x.pb)" '>' "$size"
}

# its_writer: the process that holds x.pb, once it alone does and SAMPLES are in it
its_writer() {
    local found
    for _ in {1..600}; do
        found=$(find /proc/[0-9]*/fd -lname "$PWD/x.pb" 2>/dev/null | cut -d/ -f3)
        if [ "$(wc -w <<<"$found")" -eq 1 ] && has_samples <(profile_folded x.pb) "$1" >/dev/null; then
            [ "$(cat "/proc/$found/comm")" = hpprof-writer ]
            echo "$found"
            return
        fi
        sleep 0.05
    done
    return 1
}

@test "the writer is killed: what was flushed is there, the program does not notice" {
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" last_thread 2 >out 2>err 3>&- &
    program=$!
    writer=$(its_writer 500) # some of them are of the start
    kill -KILL "$writer"
    cp x.pb flushed.pb
    wait "$program" # with status 0
    [ "$(cat out)" = $'before the end\nlast thread returns' ]
    [ "$(wc -l <err)" -eq 1 ]
    grep -F "hpprof: cannot write $PWD/x.pb: the writer was killed" err
    same flushed.pb x.pb
    has_samples <(profile_folded x.pb) 400 burn_main
    hpprof report x.pb | grep -x 'Not finished: 1 of 1 processes still ran, or their writer was killed.'
}

# killed_together PID: that program and the writer of its x.pb, as when their control group is killed: what was used in one
# interval of flushes (1 s) is missing at most, but for half a second that the writer may come late
killed_together() {
    local used
    its_writer 1500 >writer
    kill -STOP "$1"
    used=$(awk -v hertz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hertz }' "/proc/$1/stat")
    kill -KILL "$1" "$(cat writer)" 2>/dev/null || true # a namespace's first process takes its writer along
    hpprof report --json x.pb >x.json
    jq -c '.cpu, .total_ns' x.json
    check "$(jq .total_ns x.json)" '>=' "$(awk "BEGIN { print ($used - 1.5) * 1e9 }")" "used $used s"
    check "$(jq .torn_bytes x.json)" '==' 0
    go_pprof -top x.pb 2>err | grep spin
}

@test "program and writer are killed together: an interval is missing at most, and the file can be read" {
    HPPROF_FREQ=997 HPPROF_OUT=$PWD/x.pb LD_PRELOAD=$AGENT "$PROGRAMS/endless" >out 3>&- &
    program=$!
    killed_together "$program"
    wait "$program" || true
}

@test "a pid namespace whose first process is killed: the same" {
    unshare -Urpf true || skip "cannot make a pid namespace"
    unshare -Urpf --kill-child env HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" LD_PRELOAD="$AGENT" "$PROGRAMS/endless" >out 3>&- &
    outer=$!
    for _ in {1..600}; do
        inner=$(pgrep -P "$outer" -x endless) && break
        sleep 0.05
    done
    killed_together "$inner"
    wait "$outer" || true
}

@test "HPPROF_FLUSH: a bad value gets one clear line" {
    agent HPPROF_FLUSH=0 "$PROGRAMS/endings" return 0.1 2>err || true
    [ "$(wc -l <err)" -eq 1 ]
    grep -F 'HPPROF_FLUSH=0 is not allowed: use a number in 1..3600; continuing with 1' err
}

@test "the time of samples: report and flamegraph add up over it, merging keeps it" {
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/shares_fixed" 3.5 >out
    check "$(times x.pb | wc -l)" '>=' 3
    hpprof flamegraph --folded x.pb | sed 's/ [0-9]*$//' | sort | uniq -d >twice
    [ ! -s twice ]
    [ "$(hpprof report --by thread x.pb | grep -c 'shares_fixed ([0-9]*)')" -eq 1 ]
    hpprof merge -o merged.pb x.pb x.pb
    same <(times x.pb) <(times merged.pb)
    [ "$(profile_samples merged.pb)" -eq $((2 * $(profile_samples x.pb))) ]
    grep -x 'string_table: "seconds"' <(profile_message merged.pb)
}
