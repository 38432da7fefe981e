#!/usr/bin/env bats
# hpprof perf-map: names of moved text, where perf looks for them, and nothing else there.

load helper
load profiles

setup() {
    hpprof_setup
    PID=$$ # of nobody else: the file of that number in /tmp is ours
    MAP=/tmp/perf-$PID.map
    make_profile hpprof.pb $PID
}

teardown() { rm -f "$MAP"; }

@test "every moved byte has one name; symbols are clipped to the range" {
    hpprof perf-map hpprof.pb -o map
    cat map
    awk -v start=$((0x7f0000000000 + SEGMENT + 8)) -v end=$((0x7f0000000000 + SEGMENT + 4000)) '
        function hex(text,    n, i) {
            for (i = 1; i <= length(text); i++) n = n * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
            return n
        }
        BEGIN { at = start }
        hex($1) != at { print "gap before " $0; bad = 1 }
        { at = hex($1) + hex($2) }
        END { exit bad || at != end }' map
    base=$((0x7f0000000000 + TEXT))
    [ "$TEXT" -eq "$SEGMENT" ] # alpha is first, so the range begins in it
    grep -qx "$(printf '%x 38 alpha' $((base + 8)))" map
    grep -qx "$(printf '%x 40 beta' $((base + 64)))" map
    grep -qx "$(printf '%x 40 image.so+0x%x' $((base + 128)) $((TEXT + 128)))" map
    grep -qx "$(printf '%x 40 void gamma<int>(int)' $((base + 192)))" map
    [ "$(stat -c %a map)" = 600 ]
}

@test "by default /tmp/perf-PID.map, replaced when it is ours" {
    hpprof perf-map hpprof.pb
    grep -q ' beta$' "$MAP"
    echo old >"$MAP"
    hpprof perf-map hpprof.pb
    grep -q ' beta$' "$MAP"
}

@test "no symbolic link is followed" {
    echo precious >target
    ln -s "$PWD/target" "$MAP"
    fails 1 "hpprof: $MAP is a symbolic link" hpprof perf-map hpprof.pb
    [ "$(cat target)" = precious ]
    rm "$MAP"
    ln -s "$PWD/nothing" "$MAP"
    fails 1 "hpprof: $MAP is a symbolic link" hpprof perf-map hpprof.pb
    [ ! -e nothing ]
    ln -s "$PWD/target" map
    fails 1 "hpprof: map is a symbolic link" hpprof perf-map hpprof.pb -o map
}

@test "another user's file stays" {
    [ "$(id -u)" -eq 0 ] || skip "only root can give files away"
    : >"$MAP"
    chown nobody "$MAP"
    fails 1 "hpprof: $MAP belongs to another user" hpprof perf-map hpprof.pb
    mkdir map
    fails 1 "hpprof: map is not a regular file" hpprof perf-map hpprof.pb -o map
}

@test "a program that still runs: its file as far as it goes" {
    first_chunk running.pb "$IMAGE"
    second_chunk running.pb
    head -c -3 running.pb >torn.pb
    hpprof perf-map torn.pb -o map 2>err || { cat err; false; }
}

@test "more than one process" {
    first_chunk two.pb "$IMAGE" $((PID + 1))
    hpprof merge hpprof.pb two.pb -o all.pb
    fails 1 "hpprof: all.pb holds 2 processes" hpprof perf-map all.pb
}

@test "nothing moved: an empty map, and said so" {
    first_chunk still.pb "$IMAGE"
    hpprof perf-map still.pb -o map 2>err
    grep -q '^hpprof: still.pb: no text was moved' err
    [ -e map ]
    [ ! -s map ]
}

@test "a binary that changed: offsets only" {
    make_image "$IMAGE" 0xdeadbeef
    hpprof perf-map hpprof.pb -o map 2>err
    grep -q "^hpprof: $IMAGE: it has changed since" err
    [ "$(wc -l <map)" -eq 1 ]
    grep -q 'image.so+0x' map
}

@test "a profile of another tool, and one that is missing" {
    chunk foreign.pb <<'END'
string_table: ["", "samples", "count", "cpu", "nanoseconds"]
sample_type { type: 1 unit: 2 } sample_type { type: 3 unit: 4 }
END
    fails 1 "hpprof: foreign.pb does not say whose profile it is" hpprof perf-map foreign.pb
    fails 1 "hpprof: cannot read nothing.pb" hpprof perf-map nothing.pb
}
