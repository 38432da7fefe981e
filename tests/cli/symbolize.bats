#!/usr/bin/env bats
# hpprof symbolize: names that travel with the profile.

load helper
load profiles

setup_file() { go_pprof_setup; }

setup() {
    hpprof_setup
    make_profile hpprof.pb
}

@test "names are in the file: the binary is not needed any more" {
    hpprof report --json >before.json
    hpprof symbolize hpprof.pb -o named.pb
    mv "$IMAGE" gone
    hpprof report --json named.pb 2>err | jq 'del(.profile)' >after
    jq 'del(.profile)' before.json | same after -
    [ ! -s err ]
    [ "$(stat -c %a named.pb)" = 600 ]
}

@test "demangled name and the ELF file's name; has_functions" {
    hpprof symbolize hpprof.pb -o named.pb
    profile_message named.pb >text
    grep -q 'string_table: "void gamma<int>(int)"' text
    grep -q 'string_table: "_Z5gammaIiEvT_"' text
    grep -q 'has_functions: true' text
}

@test "gzip when the name says so" {
    hpprof symbolize hpprof.pb -o named.pb.gz
    gzip -t named.pb.gz
    [ "$(hpprof report --json named.pb.gz | jq .total_samples)" -eq 10 ]
}

@test "to standard output, and through a link, which stays" {
    [ "$(hpprof symbolize hpprof.pb -o - | hpprof report --json - | jq .total_samples)" -eq 10 ]
    hpprof symbolize hpprof.pb -o /dev/stdout >direct.pb
    [ "$(hpprof report --json direct.pb | jq .total_samples)" -eq 10 ]
    [ -L /dev/stdout ]
    ln -s target.pb link.pb
    hpprof symbolize hpprof.pb -o link.pb
    [ -L link.pb ]
    [ "$(hpprof report --json target.pb | jq .total_samples)" -eq 10 ]
}

@test "in place" {
    hpprof symbolize hpprof.pb -o hpprof.pb
    hpprof symbolize hpprof.pb -o hpprof.pb
    [ "$(hpprof report --json | jq -r '.rows[0].name')" = beta ]
}

@test "locations of an image that changed stay open for another machine" {
    cp "$IMAGE" old
    make_image "$IMAGE" 0xdeadbeef
    hpprof symbolize hpprof.pb -o half.pb 2>err
    [ "$(wc -l <err)" -eq 1 ]
    grep -q "^hpprof: $IMAGE: it has changed since" err
    profile_message half.pb >text
    lacks text 'has_functions: true'
    mv old "$IMAGE"
    [ "$(hpprof report --json half.pb | jq -r '.rows[0].name')" = beta ]
}

@test "go tool pprof reads it" {
    hpprof symbolize hpprof.pb -o named.pb.gz
    mv "$IMAGE" gone
    go_pprof -top -unit=ms named.pb.gz >out 2>err || { cat err; false; }
    cat out
    grep -q '^ *50ms *50.00% .* 90ms 90.00%  beta$' out
    grep -q '30ms .* alpha$' out
}

@test "where it cannot read or write" {
    fails 1 "hpprof: cannot read nothing.pb" hpprof symbolize nothing.pb -o x
    [ ! -e x ]
    fails 1 "hpprof: cannot write missing/x: No such file or directory" hpprof symbolize hpprof.pb -o missing/x
    fails 1 "hpprof: cannot write /dev/full: No space left on device" hpprof symbolize hpprof.pb -o /dev/full
}
