#!/usr/bin/env bats
# hpprof merge: several profiles as one.

load helper
load profiles

setup() {
    hpprof_setup
    make_profile one.pb
    first_chunk two.pb "$IMAGE" 4800 0x550000000000
}

@test "the same image is one, wherever it was loaded" {
    hpprof merge one.pb two.pb -o all.pb
    profile_message all.pb >text
    [ "$(grep -c '^mapping {' text)" -eq 1 ]
    hpprof report --json all.pb >all.json
    jq -e '.total_samples == 15 and .processes == 2 and .ended_processes == 1 and .unfinished_samples == 2' all.json
    jq -e '.rows[] | select(.name == "alpha") | .flat_samples == 6' all.json
    [ "$(stat -c %a all.pb)" = 600 ]
}

@test "who is who: process and pid" {
    hpprof merge one.pb two.pb -o all.pb
    hpprof report --by process --json all.pb | jq -e '[.rows[] | {(.name): .flat_samples}] | add ==
        {"image.so (4711)": 10, "image.so (4800)": 5}'
}

@test "another build is another image" {
    first_chunk other.pb "$IMAGE" 4900 0x550000000000 00112233
    hpprof merge one.pb other.pb -o all.pb
    profile_message all.pb >text
    [ "$(grep -c '^mapping {' text)" -eq 2 ]
}

@test "losses add up; other comments stand once" {
    hpprof merge one.pb one.pb -o all.pb
    profile_comments all.pb >comments
    cat comments
    [ "$(grep -c '^hpprof version' comments)" -eq 1 ]
    [ "$(grep -c '^hpprof.left' comments)" -eq 1 ]
    hpprof report --json all.pb | jq -e '.lost.dropped == 14 and .total_samples == 20'
}

@test "what is booked is less where chance gave other processes too many samples" {
    booked_profile more.pb 60 0 0 0 50 81
    booked_profile less.pb 40 20 15 5 80 82
    hpprof merge more.pb less.pb -o all.pb
    # 130 used, 100 sampled: 30 of 40 booked
    hpprof report --json all.pb | jq -e '.cpu == {total_ns: 1300000000, sampled_ns: 1000000000,
        short_lived_ns: 150000000, blocked_ns: 112500000, unsampled_ns: 37500000, stopped_ns: 0}
        and .total_ns == 1300000000 and .processes == 2'
    # not while one still runs
    booked_profile runs.pb 60 0 0 0 50 83
    sed -i 's/hpprof.end cause=exit/hpprof.not cause=exit/' runs.pb
    hpprof merge runs.pb less.pb -o all.pb
    hpprof report --json all.pb | jq -e '.total_ns == 1400000000'
    # nothing is left where it all was too much
    rm more.pb
    booked_profile more.pb 90 0 0 0 50 84
    hpprof merge more.pb less.pb -o all.pb
    hpprof report --json all.pb | jq -e '.total_ns == .cpu.sampled_ns and .total_ns == 1300000000 and .row_count == 1'
}

@test "merging what was merged, and gzip'd output" {
    hpprof merge one.pb two.pb -o all.pb.gz
    gzip -t all.pb.gz
    first_chunk three.pb "$IMAGE" 5000
    hpprof merge all.pb.gz three.pb -o more.pb
    hpprof report --by process --json more.pb | jq -e '.row_count == 3 and .total_samples == 20'
}

@test "one file is allowed, and a torn one is said to be torn" {
    size=$(wc -c <two.pb)
    second_chunk two.pb
    head -c $((size + 20)) two.pb >torn.pb
    hpprof merge torn.pb -o all.pb 2>err
    grep -q '^hpprof: torn.pb: its last chunk is torn: read up to there, 20 bytes left out$' err
    hpprof report all.pb | grep -q 'a torn last chunk was left out'
}

@test "profiles of other things do not merge; nothing is left behind" {
    chunk heap.pb <<'END'
string_table: ["", "space", "bytes"] sample_type { type: 1 unit: 2 }
END
    fails 1 "hpprof: heap.pb holds other kinds of values than one.pb" hpprof merge one.pb heap.pb -o all.pb
    [ ! -e all.pb ]
    fails 1 "hpprof: cannot read nothing.pb" hpprof merge one.pb nothing.pb -o all.pb
    [ ! -e all.pb ]
    fails 1 "hpprof: cannot write missing/all.pb" hpprof merge one.pb -o missing/all.pb
}
