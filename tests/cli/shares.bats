#!/usr/bin/env bats
# Programs whose shares and stacks are known: the profile must say the same, whatever the remap did.
# Sampled below the kernel's tick rate, so that (nearly) each sample is a signal of its own.

load helper

# profile REMAP PROGRAM ARGUMENT…: into PROGRAM.REMAP.{pb,out,folded}
profile() {
    local remap=$1 name=$2.$1
    shift
    agent HPPROF_OUT="$PWD/$name.pb" HPPROF_FREQ=249 HPPROF_REMAP="$remap" \
        "$PROGRAMS/$1" "${@:2}" >"$name.out" 2>"$name.err"
    hpprof flamegraph --folded "$name.pb" >"$name.folded"
    cp "$name.folded" "$name.all"
}

# again REMAP PROGRAM: another run, of the same shares, into PROGRAM.REMAP.all
again() {
    agent HPPROF_OUT="$PWD/again.pb" HPPROF_FREQ=249 HPPROF_REMAP="$1" \
        "$PROGRAMS/$2" 4.6 "$(sed -n 's/seed //p' shares_drawn.off.err)" >/dev/null 2>&1
    hpprof flamegraph --folded again.pb >>"$2.$1.all"
    rm again.pb
}

setup_file() {
    hpprof_setup
    cd "$BATS_FILE_TMPDIR" || return
    profile off shares_fixed 4.6 &
    profile off shares_drawn 4.6
    wait
    profile anon shares_fixed 4.6 &
    profile anon shares_drawn 4.6 "$(sed -n 's/seed //p' shares_drawn.off.err)"
    wait
}

setup() {
    cd "$BATS_FILE_TMPDIR" || return
}

# check_shares REMAP PROGRAM: each line `FUNCTION PER-CENT …` of the program against the profile
check_shares() {
    local function percent
    cat "$2.$1.out"
    while read -r function percent _; do
        share_is "$2.$1.all" "(^|;)$function\$" "$(awk "BEGIN { print $percent - 5 }")" \
            "$(awk "BEGIN { print $percent + 5 }")" again "$1" "$2"
    done <"$2.$1.out"
}

@test "at least 1,000 signals in each profile" {
    for name in shares_fixed.off shares_fixed.anon shares_drawn.off shares_drawn.anon; do
        [ "$(wc -l <$name.out)" -ge 3 ]
        has_samples <(profile_folded $name.pb) 1000
    done
}

@test "60/30/10: shares within 5 points, remap off" {
    check_shares off shares_fixed
    check "$(sed -n 's/^alpha_work //p' shares_fixed.off.out)" '>=' 59
}

@test "60/30/10: shares within 5 points, remap at start" {
    check_shares anon shares_fixed
    check "$(sed -n 's/^beta_work //p' shares_fixed.anon.out)" '>=' 29
}

@test "drawn shares: within 5 points, remap off" {
    check_shares off shares_drawn
}

@test "drawn shares: within 5 points, remap at start" {
    check_shares anon shares_drawn
}

@test "stacks are whole to main, through chains that are known" {
    local chains='(^|;)main;drive;(alpha;alpha_step;alpha_work|beta;beta_work|gamma_work)$' remap
    for remap in off anon; do
        sort -k2nr shares_fixed.$remap.folded | head -5
        check "$(folded_share "$chains" <shares_fixed.$remap.folded)" '>=' 97 "remap $remap"
        check "$(folded_share '^\[(unfinished|truncated)\]' <shares_fixed.$remap.folded)" '<' 3 "remap $remap"
    done
}

@test "stacks are whole to main, through recursions of a drawn depth" {
    local remap function depth stack good
    for remap in off anon; do
        good=0
        while read -r function _ depth; do
            stack=$(printf 'descend;%.0s' $(seq "$depth"))
            good=$((good + $(folded_weight "(^|;)main;serve;$stack$function\$" <shares_drawn.$remap.folded)))
        done <shares_drawn.$remap.out
        check "$((100 * good))" '>=' $((97 * $(profile_samples shares_drawn.$remap.pb))) "remap $remap"
    done
}

# names FOLDED LEAST: the functions in at least that share of the weight
names() {
    awk -v least="$2" '{
        weight = $NF; sub(/ [0-9]+$/, ""); all += weight
        split("", seen)
        n = split($0, frame, ";")
        for (i = 1; i <= n; i++)
            if (!seen[frame[i]]++)
                total[frame[i]] += weight
    } END { for (name in total) if (total[name] >= least * all) print name }' "$1" | LC_ALL=C sort
}

@test "the remap moved the programs' text, and the names are the same without it" {
    huge_pages_on || skip "transparent huge pages are off"
    for name in shares_fixed shares_drawn; do
        profile_comments $name.anon.pb | grep "^hpprof.remap .* image=.*/$name\$"
        profile_comments $name.off.pb >comments
        lacks comments '^hpprof.remap '
        for remap in off anon; do # what is seen more than by chance in one must be in the other
            names $name.$remap.folded 0 >$name.$remap.names
            names $name.$remap.folded 0.05 >$name.$remap.often
        done
        [ "$(wc -l <$name.off.often)" -ge 5 ]
        LC_ALL=C comm -23 $name.off.often $name.anon.names >missing
        LC_ALL=C comm -23 $name.anon.often $name.off.names >>missing
        same /dev/null missing
    done
}
