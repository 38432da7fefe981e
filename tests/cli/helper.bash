# What all bats files share: where the build is, a directory of its own for each test, and readers of
# profiles. A test file begins with `load helper` and calls hpprof_setup from its setup().
# shellcheck shell=bash

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
hpprof_path() { realpath -m -- "$1"; }
# After a setup_file that calls hpprof_setup the variables of tests/run are gone from the tests.
HPPROF_COMMAND=${TESTED_COMMAND:-$(hpprof_path "${HPPROF:-$ROOT/build/hpprof}")}
AGENT=${TESTED_AGENT:-$(hpprof_path "${HPPROF_LIB:-$ROOT/build/libhpprof.so}")}
export TESTED_COMMAND=$HPPROF_COMMAND TESTED_AGENT=$AGENT
PROGRAMS=$(hpprof_path "${PROGRAMS:-$ROOT/build/tests/programs}")

# Enters the test's own empty directory; the caller's own options must not reach the tests, nor the tests the
# caller's unwind tables and copies of text.
hpprof_setup() {
    local name
    for name in ${!HPPROF_*}; do
        [ "$name" = HPPROF_COMMAND ] || unset "$name"
    done
    unset HPPROF
    export HPPROF_CACHE=$BATS_RUN_TMPDIR/hpprof-cache HPPROF_TEXT_CACHE=off
    cd "$BATS_TEST_TMPDIR" || return
}

hpprof() { timeout -k 1 120 "$HPPROF_COMMAND" "$@"; }

# agent [VARIABLE=VALUE…] COMMAND…: the command with the agent loaded. What hangs is ended. Addresses are drawn unless UNDRAWN
# is set: one draw of 256 has the text of edge_text begin or end with 2 MiB, and nothing to absorb there.
agent() { timeout -k 1 60 ${UNDRAWN:+setarch -R} env LD_PRELOAD="$AGENT" "$@"; }

# profile_message FILE: a profile that is not compressed, in protobuf's text format.
profile_message() {
    protoc-c --proto_path="$ROOT/proto" --decode=hpp.pprof.Profile profile.proto <"$1"
}

# profile_comments FILE: its comments, one a line.
profile_comments() {
    profile_message "$1" | awk '
        /^string_table: / { text = substr($0, 15); string[n++] = substr(text, 2, length(text) - 2) }
        /^comment: / { print string[$2] }' | sed "s/\\\\\\(['\"\\\\]\\)/\\1/g"
}

# profile_labels KEY: of a message on standard input, the numbers of that label.
profile_labels() {
    awk -v key="\"$1\"" '/^string_table: / { if (substr($0, 15) == key) id = n; n++ }
        /^    key: / { at = $2 } /^    num: / { number[++labels] = $2; of[labels] = at }
        END { for (i = 1; i <= labels; i++) if (of[i] == id) print number[i] }'
}

# profile_mappings FILE: `FILE-OFFSET BUILD-ID PATH` of each mapping.
profile_mappings() {
    profile_message "$1" | awk '/^string_table: / { text = substr($0, 15); string[n++] = substr(text, 2, length(text) - 2) }
        /^mapping \{/ { mapping[++m] = m; offset[m] = 0 }
        /^  file_offset: / { offset[m] = $2 } /^  filename: / { path[m] = $2 } /^  build_id: / { id[m] = $2 }
        END { for (i = 1; i <= m; i++) print offset[i], string[id[i]], string[path[i]] }'
}

# comment_field FIELD: of comments on standard input, the values of that field (not of image=).
comment_field() { sed -n "s/^[^=]* \(.* \)\{0,1\}$1=\([^ ]*\).*/\2/p"; }

# profile_folded FILE: `root;…;leaf weight` lines.
profile_folded() { hpprof flamegraph --folded "$1"; }

# profile_told FILE: the weight of all its rows.
profile_told() {
    profile_message "$1" | awk '/^  value: / && !seen { n += $2; seen = 1 } /^sample \{/ { seen = 0 }
        END { print n + 0 }'
}

# profile_unsampled FILE: as many of them as are booked: CPU time that no signal stands for. The kernel looks at CPU
# timers at its ticks; on a crowded processor a thread may run, and end, between them.
profile_unsampled() { profile_folded "$1" | folded_weight '(^|;)\[(short-lived|signals blocked|unsampled)\]$'; }

# has_samples FOLDED LEAST [REGEX]: in folded stacks, what matches (without REGEX: all) and what is booked weigh at
# least LEAST, and a quarter of that is samples: a crowded processor may keep so many from us, but not all.
has_samples() {
    awk -v least="$2" -v regex="${3-}" '{ weight = $NF; sub(/ [0-9]+$/, "") }
        /(^|;)\[(short-lived|signals blocked|unsampled)\]$/ { booked += weight; next }
        $0 ~ regex { samples += weight }
        END { if (samples + booked >= least && 4 * samples >= least) exit
            print "has not " least ": " samples + 0 " samples, " booked + 0 " booked (" regex ")"; exit 1 }' "$1"
}

# profile_samples FILE: the weight of its samples.
profile_samples() { echo $(($(profile_told "$1") - $(profile_unsampled "$1"))); }

# folded_share REGEX: of folded stacks on standard input, the per cent of weight whose line matches; what is booked is no
# stack.
folded_share() {
    awk -v regex="$1" '{ weight = $NF; sub(/ [0-9]+$/, "") }
        /(^|;)\[(short-lived|signals blocked|unsampled)\]$/ { next }
        { all += weight; if ($0 ~ regex) hit += weight }
        END { printf "%.2f\n", all ? 100 * hit / all : 0 }'
}

# folded_weight REGEX: of folded stacks on standard input, the weight whose line matches.
folded_weight() {
    awk -v regex="$1" '{ weight = $NF; sub(/ [0-9]+$/, ""); if ($0 ~ regex) hit += weight }
        END { print hit + 0 }'
}

# check A OP B [WHAT]: compares numbers (also fractions); tells all three when it does not hold.
check() {
    awk -v a="$1" -v op="$2" -v b="$3" 'BEGIN {
        a += 0; b += 0
        exit !(op == "<" ? a < b : op == "<=" ? a <= b : op == ">" ? a > b : op == ">=" ? a >= b : a == b)
    }' || { echo "does not hold: $1 $2 $3${4:+ ($4)}"; return 1; }
}

# share_is FOLDED REGEX LOW HIGH COMMAND…: the per cent of weight in that file whose line matches lies between. If
# not, COMMAND adds another run, at most three, and all are judged together: on a crowded processor a sample stands
# for so much time that chance has a large part in one run. What is wrong stays wrong.
share_is() {
    local more share
    for more in yes yes yes no; do
        share=$(folded_share "$2" <"$1")
        check "$share" '>=' "$3" "$2" && check "$share" '<=' "$4" "$2" && return
        [ $more = no ] || "${@:5}" || return
    done
    return 1
}

# same FILE FILE: equal, or the difference is shown.
same() { cmp -s "$1" "$2" || { diff -u -- "$1" "$2" | head -40; return 1; }; }

# huge_pages_on: whether the kernel gives huge pages on madvise.
huge_pages_on() { grep -q '\[madvise\]\|\[always\]' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null; }

# go_pprof ARGUMENT…: Go's reader; it writes nothing outside the build folder and asks no network.
go_pprof() {
    HOME=${PROGRAMS%/*}/go GOCACHE=${PROGRAMS%/*}/go/cache XDG_CONFIG_HOME='' PPROF_TMPDIR=$PWD \
        GOTOOLCHAIN=local GOPROXY=off GOFLAGS='' go tool pprof "$@"
}

# go_pprof_setup: newer Go compiles it at its first call, for a minute. To be called where no test's time runs.
go_pprof_setup() { (mkdir -p "${PROGRAMS%/*}/go" && cd "$BATS_FILE_TMPDIR" && go_pprof -h >/dev/null 2>&1) || true; }

# wait_profiles DIRECTORY COUNT [REGEX]: until that many profiles below DIRECTORY are complete. Writers outlive their
# programs, by little. A profile in which no function matches is of a process that was sampled by chance (a shell, a
# daemon's first child): it is set aside as .chance.
wait_profiles() {
    local try
    for ((try = 0; try < 100; try++)); do
        profiles_by_chance "$1" "${3-}"
        [ "$(find "$1" -name '*.pb' -exec grep -la 'hpprof.end ' {} + | wc -l)" -lt "$2" ] || break
        sleep 0.1
    done
    [ "$(find "$1" -name '*.pb' | wc -l)" -eq "$2" ] || {
        echo "expected $2 profiles:"
        find "$1" -name '*.pb' -exec ls -l {} +
        return 1
    }
    find "$1" -name '*.pb' -exec grep -La 'hpprof.end ' {} + | awk '{ print "not ended: " $0; bad = 1 } END { exit bad }'
}

profiles_by_chance() {
    local file
    [ -z "$2" ] || find "$1" -name '*.pb' -exec grep -la 'hpprof.end ' {} + | while read -r file; do
        profile_folded "$file" | grep -Eq "$2" || mv "$file" "$file.chance"
    done
}

# lacks FILE REGEX: no line of FILE matches (`! grep` cannot fail a test). A missing FILE fails.
lacks() {
    [ -e "$1" ] || return 1
    if grep -E -e "$2" "$1"; then
        echo "$1 should have no such line"
        return 1
    fi
}
