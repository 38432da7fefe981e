#!/usr/bin/env bats
# Hot remap: text moves while the program runs, where its samples are.

load helper
load profiles

setup() {
    hpprof_setup
    huge_pages_on || skip "transparent huge pages are off"
}

# hot OUT [VARIABLE=VALUE…] COMMAND…: with hot remap; comments and folded are of its profile
hot() {
    agent HPPROF_OUT="$PWD/$1.pb" HPPROF_FREQ=249 HPPROF_REMAP_WHEN=hot "${@:2}" >out
    profile_comments "$1.pb" >comments
    hpprof flamegraph --folded "$1.pb" >folded
    cat out comments
}

@test "a short program: nothing is moved, and the profile says why" {
    UNDRAWN=1 hot short "$PROGRAMS/shares_fixed" 0.4 # its 4 MiB have one whole 2 MiB, but two in one draw of 512
    lacks comments '^hpprof.remap '
    grep -E "^hpprof.left eligible_kib=2048 reason='the process used less than a CPU-second' image=.*/shares_fixed$" comments
}

# by_auto NAME: the profile NAME.pb of a run by auto; its stacks are added to `all`
by_auto() {
    UNDRAWN=1 agent HPPROF_OUT="$PWD/$1.pb" HPPROF_FREQ=249 "$PROGRAMS/shares_fixed" 4 >"$1.out"
    profile_folded "$1.pb" >>all
}

@test "auto is hot; what is used is moved once, the rest is left; names and shares stay" {
    local function percent
    by_auto auto
    profile_comments auto.pb | tee comments
    [ "$(grep -c "^hpprof.remap .* when=hot image=.*/shares_fixed$" comments)" -eq 1 ]
    grep -E "^hpprof.huge samples=[0-9]+ image=.*/shares_fixed$" comments
    hpprof report auto.pb | tee report
    hpprof report --json auto.pb | tee json
    # the one range has nearly all that can be: all but the first CPU-second's, and what libc has
    jq -e --argjson per_cent "$(sed -n 's/^Text on huge pages: .* with \(.*\)% of samples.$/\1/p' report)" '
        (.cpu.sampled_ns * .frequency_hz / 1e9) as $sampled | .remap[] | select(.image | endswith("/shares_fixed")) |
        (.huge_samples - $per_cent * $sampled / 100 | fabs) <= $sampled / 1000 and (.moved | length == 1 and
        (.[0] | .when == "hot" and .samples >= $sampled / 2 and .huge_kib == 2048 and (.unloaded | not)))' json
    while read -r function percent; do
        share_is all "(^|;)$function\$" "$(awk "BEGIN { print $percent - 7 }")" "$(awk "BEGIN { print $percent + 7 }")" \
            by_auto again
    done <auto.out
}

@test "an object that dlopen loads is moved while it runs; samples before, in and after it have their names" {
    hot late "$PROGRAMS/late" run 2.5
    grep -E "^hpprof.remap .* when=hot image=.*/late_plugin$" comments
    grep -E "^hpprof.range .* samples=[0-9]+ unloaded=1 image=.*/late_plugin$" comments
    # a third each, where no other program holds up the signals and the look at what was loaded
    for function in work_before plugin_work work_after; do
        check "$(folded_weight "(^|;)$function\$" <folded)" '>=' 100 $function
    done
}

@test "a former profile: its text is moved at once, in objects loaded later too" {
    hot first "$PROGRAMS/late" run 0.25
    lacks comments '^hpprof.remap '
    hot second HPPROF_REMAP_HOT=first.pb "$PROGRAMS/late" run 0.3
    grep -E "^hpprof.remap .* when=hot image=.*/late_plugin$" comments
    lacks comments '^hpprof.note '
}

@test "a former profile of other files: nothing is moved by it" {
    hot first "$PROGRAMS/late" run 0.25
    hot second HPPROF_REMAP_HOT=first.pb "$PROGRAMS/shares_fixed" 0.3
    lacks comments '^hpprof.(remap|note) '
}

@test "a former profile: what it does not have is not moved by it, however hot it is now" {
    cp "$PROGRAMS/late" "$PROGRAMS/late_plugin" .
    objcopy --remove-section=.note.gnu.build-id late # so that the profile cannot name it
    hot first ./late run 0.25
    hot second HPPROF_REMAP_HOT=first.pb "$PROGRAMS/late" run 0.3
    grep -E "^hpprof.remap .* when=hot image=.*/late_plugin$" comments
    lacks comments '^hpprof.remap .*/late$'
}

# moves_of FUNCTION: how often the 2 MiB that it is in, of hot_shares, were moved by the last run
moves_of() {
    local at from to count=0
    at=$((16#$(nm ./hot_shares | awk -v name="$1" '$3 == name { print $1 }')))
    while read -r from to; do
        [ $((from)) -gt $at ] || [ $((to)) -le $at ] || count=$((count + 1))
    done <<<"$(sed -n 's/^hpprof.remap .* start=\([^ ]*\) end=\([^ ]*\) .*hot_shares$/\1 \2/p' comments)"
    echo $count
}
# moved_were FIRST SECOND THIRD: so often
moved_were() { [ "$(moves_of first_work) $(moves_of second_work) $(moves_of third_work)" = "$*" ]; }

@test "HPPROF_REMAP_MAX: the hottest are moved, the rest stays, and the profile says why" {
    cp "$PROGRAMS/hot_shares" . # what the linker has just written may lie on huge pages of its own
    former_profile former.pb ./hot_shares 20 10 70
    export HPPROF_REMAP=anon
    hot all HPPROF_REMAP_HOT=former.pb ./hot_shares 20 10 70 0.6
    moved_were 1 1 1
    hot one HPPROF_REMAP_HOT=former.pb HPPROF_REMAP_MAX=2M ./hot_shares 20 10 70 0.6
    moved_were 0 0 1
    # also where a colder one lies beside the hottest, between them
    hot two HPPROF_REMAP_HOT=former.pb HPPROF_REMAP_MAX=4M ./hot_shares 20 10 70 0.6
    moved_were 1 0 1
    grep -E "^hpprof.left .*reason='HPPROF_REMAP_MAX is reached' image=.*/hot_shares$" comments
}

@test "what becomes hot later is moved too; nothing comes back, nothing is moved twice" {
    export HPPROF_REMAP=anon
    cp "$PROGRAMS/hot_shares" .
    hot phases ./hot_shares 100 0 0 1.4 0 0 100 1.4 100 0 0 1.2
    moved_were 1 0 1
    # in that order
    [ "$(grep '^hpprof.remap .*hot_shares$' comments | comment_field start | head -1)" = \
        "0x$(nm ./hot_shares | awk '$3 == "first_work" { sub(/^0+/, "", $1); print $1 }')" ]
    hot limit HPPROF_REMAP_MAX=2M ./hot_shares 100 0 0 1.4 0 0 100 1.4
    moved_were 1 0 0
    grep -E "^hpprof.left .*reason='HPPROF_REMAP_MAX is reached' image=.*/hot_shares$" comments
}

@test "a former profile that is none: refused in one line" {
    head -c 100000 /dev/urandom >noise.pb
    gzip -c "$PROGRAMS/late" >packed.pb
    mkfifo fifo.pb
    : >empty.pb
    for name in noise packed fifo empty missing; do
        hot "by_$name" HPPROF_REMAP_HOT=$name.pb "$PROGRAMS/shares_fixed" 0.3
        [ "$(grep -c "^hpprof.note text='HPPROF_REMAP_HOT=$PWD/$name.pb: .*; what is hot is learnt anew'" comments)" -eq 1 ]
        lacks comments '^hpprof.remap '
    done
}

@test "objects come and go, with threads at work in them, while they are moved" {
    hot plugins "$PROGRAMS/late" swap 0.6
    hot rounds HPPROF_REMAP_HOT=plugins.pb "$PROGRAMS/late" rounds 200
    grep -qx '0 rounds failed' out
    grep '^hpprof.remap ' comments
    # what was sampled in them has their names
    check "$(folded_share '(^|;)(plugin_work|plugin_two_work|.*plugin.*)$' <folded)" '>=' 30
}

@test "while memory comes and goes in eight threads, text is moved; and after handlers have left munmap by a jump" {
    local what
    for what in threads left; do
        hot $what "$PROGRAMS/changes" $what 3
        grep -qx '0 failed' out
        grep -E "^hpprof.remap .* when=hot image=.*/changes$" comments
    done
}
