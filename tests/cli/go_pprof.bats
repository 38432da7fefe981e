#!/usr/bin/env bats
# Go's pprof, the reader that everyone has, says what our report says: of the raw file, which it
# symbolizes itself, and of the symbolized one.

load helper

setup_file() {
    hpprof_setup
    go_pprof_setup
    cd "$BATS_FILE_TMPDIR" || return
    # a seed whose shares are all well above what chance puts into libc
    agent HPPROF_FREQ=997 HPPROF_OUT="$PWD/raw.pb" "$PROGRAMS/shares_drawn" 1.5 0x3d6cc65a781455ab >out 2>/dev/null
    hpprof symbolize raw.pb -o names.pb
    hpprof symbolize raw.pb -o names.pb.gz
    hpprof report --json raw.pb >raw.json
}

setup() {
    cd "$BATS_FILE_TMPDIR" || return
}

# agrees FILE: total nanoseconds and the first ten functions, with flat and cumulative nanoseconds
agrees() {
    go_pprof -top -unit=ns -sample_index=cpu -nodecount=10 -nodefraction=0 "$1" >top 2>err || {
        cat err
        return 1
    }
    cat top
    sed -n 's/.* of \([0-9]*\)ns total.*/\1/p' top >go.total
    jq .total_ns raw.json >ours.total
    same ours.total go.total
    # names may hold spaces
    awk 'rows && NF >= 6 { flat = $1 + 0; cum = $4 + 0; $1 = $2 = $3 = $4 = $5 = ""; sub(/^ */, ""); print flat, cum, $0 } $1 == "flat" { rows = 1 }' OFMT=%.0f top >go.rows
    jq -r '.rows[:10][] | "\(.flat_ns) \(.cum_ns) \(.name)"' raw.json >ours.rows
    [ "$(wc -l <ours.rows)" -eq 10 ]
    awk '{ print $1 }' ours.rows | sort -c -nr
    same ours.rows go.rows
}

@test "the raw profile" {
    agrees raw.pb
}

@test "the symbolized profile" {
    agrees names.pb
}

@test "the symbolized profile, gzip'd" {
    agrees names.pb.gz
}

@test "the samples too: the same total count" {
    go_pprof -top -sample_index=samples -nodecount=10 raw.pb 2>/dev/null | tee top
    [ "$(sed -n 's/.* of \([0-9]*\) total.*/\1/p' top)" -eq "$(jq .total_samples raw.json)" ]
}
