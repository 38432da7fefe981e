#!/usr/bin/env bats
# Frame pointers that are none: the program must not notice, frame 0 must be right, and each stack must end.

load helper

setup() {
    hpprof_setup
}

# corrupt VALIDATE
corrupt() {
    agent HPPROF_VALIDATE="$1" HPPROF_FREQ=997 HPPROF_OUT="$PWD/corrupt.pb" "$PROGRAMS/corrupt" 4.6 >out
    [ "$(cat out)" = 'passes: 8 kinds' ]
    [ "$(profile_comments corrupt.pb | sed -n 's/^hpprof.process .*validate=\([a-z]*\).*/\1/p')" = "$1" ]
    hpprof flamegraph --folded corrupt.pb >folded
    sort -k2nr folded | head
    # frame 0: the loop is nearly all that the main thread does, 4.6 s at 997 Hz
    has_samples folded 4200 '(^|;)corrupt_loop$'
    # each stack ends: with the loop and no more than the one plausible caller, below [unfinished]
    grep 'corrupt_loop' folded >loop
    grep -vE '^\[unfinished\];(.*;)?corrupt_loop [0-9]+$' loop >other || true
    cat other
    [ ! -s other ]
    check "$(awk -F';' 'NF > depth { depth = NF } END { print depth }' loop)" '<=' 5
    # and is counted
    hpprof report --json corrupt.pb >report
    check "$(jq .unfinished_samples report)" '==' "$(folded_weight '^\[unfinished\]' <folded)"
    hpprof report corrupt.pb | grep 'do not reach'
}

@test "HPPROF_VALIDATE=auto" {
    corrupt auto
}

@test "HPPROF_VALIDATE=pipe" {
    corrupt pipe
}
