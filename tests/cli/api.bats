#!/usr/bin/env bats
# hpprof.h: labels, start, stop and flush, with the agent and without; HPPROF_START and HPPROF_TOGGLE_SIGNAL.

load helper

setup() { hpprof_setup; }

# api WHAT [VARIABLE=VALUE…]: runs it without the agent and with it: x.pb, and the same output
api() {
    "$PROGRAMS/api" "$1" >without
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "${@:2}" "$PROGRAMS/api" "$1" >out 2>err
    cat out err
    [ ! -s err ]
}

# label_share FILE KEY=VALUE: the per cent of samples that have this label; all have their thread's name, what is booked none
label_share() {
    hpprof symbolize "$1" -o named.pb
    profile_message named.pb >message
    awk -v want="$2" '
        /^string_table: / { text = substr($0, 15); string[n++] = substr(text, 2, length(text) - 2) }
        /^sample \{/ { sample++; seen = 0 } /^  value: / && !seen { weight[sample] = $2; seen = 1 }
        /^    key: / { key = $2 } /^    str: / { label[sample] = label[sample] " " key ":" $2 }
        END { split(want, pair, "=")
            for (i = 0; i < n; i++) { if (string[i] == pair[1]) k[i] = 1; if (string[i] == pair[2]) v[i] = 1 }
            for (i = 1; i <= sample; i++) { if (label[i] != "") all += weight[i]; m = split(label[i], part, " ")
                for (j = 1; j <= m; j++) { split(part[j], kv, ":"); if (kv[1] in k && kv[2] in v) hit += weight[i] } }
            printf "%.1f\n", all ? 100 * hit / all : 0 }' message
}

@test "labels: each sample has what its thread had, and no more" {
    api labels
    grep -x 'back to one: 1' out
    grep -x 'back to two: 1' out
    for label in request=one request=two trace=4bf92f3577b34da6; do
        check "$(label_share x.pb $label)" '>=' 12 $label
        check "$(label_share x.pb $label)" '<=' 28 $label
    done
    [ "$(label_share x.pb request=4bf92f3577b34da6)" = 0.0 ]
}

@test "labels: without the agent nothing changes" {
    "$PROGRAMS/api" labels >out 2>err
    [ ! -s err ]
    for what in threads coroutines fork table stop stop_threads flush; do
        "$PROGRAMS/api" $what >out 2>err
        [ ! -s err ]
        [ -s out ]
    done
    grep -x 'flush -38' out
}

@test "labels: of threads, and in merged and aggregated views" {
    api threads
    same without out
    check "$(label_share x.pb thread-of=first)" '>=' 35
    check "$(label_share x.pb thread-of=second)" '>=' 35
    hpprof merge -o merged.pb x.pb x.pb
    check "$(label_share merged.pb thread-of=second)" '>=' 35
    check "$(profile_folded x.pb | folded_share 'labelled_thread;burn_labelled')" '>=' 70
}

@test "labels: coroutines take theirs along" {
    api coroutines
    same without out
    # a runs twice as often as b
    check "$(label_share x.pb coroutine=a)" '>=' 50
    check "$(label_share x.pb coroutine=b)" '>=' 20
    check "$(label_share x.pb coroutine=b)" '<=' 45
}

@test "labels: a fork child has its parent's, under the same numbers" {
    api fork
    grep -x "the child's number is ours: 1" out
    wait_profiles x.d 1
    check "$(label_share x.d/*.pb family=yes)" '>=' 90
}

@test "labels: a full table, long texts, and pairs that are not allowed" {
    api table
    grep -x 'own, empty and missing: 0 0 0 0 0' out
    grep -x 'numbers 65534, again 65534' out
    check "$(label_share x.pb n=7)" '>=' 60
    profile_comments x.pb | grep -E '^hpprof.lost.* labels=[0-9]+'
    hpprof report x.pb
}

@test "stop and start: what is between is neither sampled nor booked" {
    api stop
    grep -x 'stop 0, start 0' out
    profile_folded x.pb >folded
    cat folded
    lacks folded burn_stopped
    check "$(folded_share burn_before <folded)" '>=' 30
    check "$(folded_share burn_after <folded)" '>=' 30
    check "$(profile_samples x.pb)" '<=' 1200
    has_samples folded 800
    stopped=$(profile_comments x.pb | sed -n '/^hpprof.cpu /p' | comment_field stopped_ns | awk '{ n += $1 } END { print n + 0 }')
    check "$stopped" '>=' 490000000
    check "$stopped" '<=' 600000000
    hpprof report x.pb | grep -E '^Not in this profile: 0\.[45][0-9] s of CPU time while sampling was stopped'
}

@test "stop and start: threads of before, of meanwhile, and those that begin and end then" {
    api stop_threads
    same without out
    profile_folded x.pb >folded
    cat folded
    check "$(folded_share burn_stopped <folded)" '<=' 2
    has_samples folded 400 'thread_during;burn_after'
    has_samples folded 400 'thread_before.*burn_after'
    check "$(profile_samples x.pb)" '<=' 1800
}

@test "stop and start: over and over, and with the other sources" {
    api many
    same without out
    has_samples <(profile_folded x.pb) 400
    rm x.pb
    api stop HPPROF_TIMER=itimer
    lacks <(profile_folded x.pb) burn_stopped
}

@test "stop and start: by two threads at once while others begin and end" {
    api storm
    same without out
    has_samples <(profile_folded x.pb) 400 burn_after
}

@test "HPPROF_START=off: everything is ready, and nothing is sampled until the program says so" {
    agent HPPROF_START=off HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/endings" return 0.4 || true
    [ ! -e x.pb ]
    agent HPPROF_START=off HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/api" stop >out
    profile_folded x.pb >folded
    cat folded
    lacks folded 'burn_before|burn_stopped'
    has_samples folded 400 burn_after
    check "$(profile_samples x.pb)" '<=' 650
}

@test "HPPROF_START=off in a tree: children begin as their parents are" {
    HPPROF_START=off hpprof record -F 997 -o x.pb -- "$PROGRAMS/processes" fork 0.2
    [ "$(profile_samples x.pb)" -eq 0 ]
}

@test "HPPROF_TOGGLE_SIGNAL: stops and starts; without it the signal is the program's" {
    agent HPPROF_TOGGLE_SIGNAL=USR2 HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/api" toggle >out
    grep -x toggled out
    profile_folded x.pb >folded
    lacks folded burn_stopped
    has_samples folded 800 'burn_(before|after)'
    status=0
    agent HPPROF_OUT="$PWD/y.pb" "$PROGRAMS/api" toggle >out || status=$?
    [ "$status" -eq 140 ] # SIGUSR2
    agent HPPROF_TOGGLE_SIGNAL=SEGV "$PROGRAMS/api" toggle 2>err || true
    grep -F 'HPPROF_TOGGLE_SIGNAL=SEGV is not allowed' err
}

@test "HPPROF_TOGGLE_SIGNAL stays ours when the program installs a handler for it, which it is told" {
    "$PROGRAMS/signals" own_usr2 0.02 >plain
    agent HPPROF_TOGGLE_SIGNAL=USR2 HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/signals" own_usr2 0.4 >out 2>err
    same plain out
    [ "$(cat err)" = "handled 0" ]
    profile_folded x.pb >folded
    has_samples folded 600 # two thirds
    check "$(folded_weight work <folded)" '<=' 1000
}

@test "flush: all samples so far are in the file" {
    agent HPPROF_FLUSH=600 HPPROF_FREQ=997 HPPROF_OUT="$PWD/x.pb" "$PROGRAMS/api" flush >out
    grep -x 'flush 0' out
    profile_folded flushed.pb | tee folded
    has_samples folded 400
    # on a crowded processor some of the last ms may have no sample yet: what comes later stands for these
    check "$(folded_weight burn_before <folded)" '==' "$(profile_folded x.pb | folded_weight burn_before)"
    lacks <(profile_folded flushed.pb) burn_after
    lacks <(profile_comments flushed.pb) hpprof.end
}

@test "the header: C, C++, PIE or not, shared libraries, any warning" {
    local flags
    for flags in '-x c -std=c99' '-x c -std=gnu17 -fno-pie -no-pie' '-x c -fPIE -pie -O2' '-x c -O0 -fPIC -shared' \
        '-x c++ -std=c++98' '-x c++ -std=c++20 -O2 -fno-pie -no-pie'; do
        # shellcheck disable=SC2086 # words
        printf '#include <hpprof.h>\nint main(void) { uint32_t a = hpp_label_intern("k", "v");
            hpp_label_swap(hpp_label_swap(a)); return hpp_start() + hpp_stop() + hpp_flush() ? (a ? 2 : 3) : 0; }\n' |
            "${CC:-cc}" -Wall -Wextra -Wshadow -pedantic -Werror -I"$ROOT/include" $flags -o header -
        [[ $flags != *-shared* ]] || continue
        status=0
        ./header || status=$?
        [ "$status" -eq 3 ]
        agent ./header
    done
}

@test "the example: labels, a phase, the profile on disk; the same without the agent" {
    "${CC:-cc}" -O2 -Wall -Wextra -Werror -I "$ROOT/include" "$ROOT/examples/labels.c" -o labels -pthread
    [ "$(./labels 20)" = served ]
    local number
    for number in 1 2 3 4; do
        HPPROF_START=off hpprof record -F 997 -o run$number.pb -- ./labels 400 >out
        grep -x 'the profile is on disk' out
        # the first of two phases is not there: 2 threads, 200 requests of 1.1 ms and 200 of 3.3 ms each
        has_samples <(profile_folded run$number.pb) 1300
        check "$(profile_samples run$number.pb)" '<=' 1900
        # on a crowded processor requests may be in step with its slices: then all runs are judged together
        hpprof merge -o all.pb run?.pb
        check "$(label_share all.pb request=search)" '>=' 12 && check "$(label_share all.pb request=checkout)" '>=' 60 && return
    done
    return 1
}

@test "installing: the header is found" {
    # -o all: BUILD spelled in another way would have all built again, under the tests that run meanwhile
    make -s -C "$ROOT" -o all BUILD="$(dirname "$AGENT")" PREFIX=/usr DESTDIR="$PWD/root" install
    [ -f root/usr/include/hpprof.h ]
    printf '#include <hpprof.h>\nint main(void) { return 0; }\n' | "${CC:-cc}" -Iroot/usr/include -x c -o p -
}
