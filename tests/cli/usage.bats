#!/usr/bin/env bats
# What is common to all commands: help, version, mistakes on the command line.

load helper
load profiles

setup() { hpprof_setup; }

@test "no command: the list, on stderr, status 2" {
    status=0
    hpprof >out 2>err || status=$?
    [ "$status" -eq 2 ]
    [ ! -s out ]
    grep -q '^usage: hpprof' err
}

@test "--help lists every command" {
    hpprof --help >out
    for command in record report flamegraph symbolize perf-map merge dump status cache; do
        grep -q "^  $command " out
    done
    hpprof -h | cmp - out
    hpprof help | cmp - out
}

@test "--version" {
    [[ $(hpprof --version) == "hpprof "[0-9]* ]]
}

@test "each command's help names each of its options, as options.def has them" {
    for command in record report flamegraph symbolize perf-map merge dump status cache; do
        hpprof "$command" --help >out
        hpprof help "$command" | cmp - out
        user=$(tr a-z- A-Z_ <<<"$command")
        # rows may go over two lines
        tr '\n' ' ' <"$ROOT/proto/options.def" | sed 's/OPTION(/\nOPTION(/g' | grep '^OPTION([A-Z]' |
            grep -E "[ |]${user}[ ,|]" | sed 's/^OPTION([A-Z_]*, "[A-Z_]*", "\([a-z-]*\)".*/\1/' >flags
        cat flags out
        while read -r flag; do
            grep -q -e "--$flag" out
        done <flags
        [ "$(grep -c -e '^ .*--' out)" -eq $(($(wc -l <flags) + 1)) ]
    done
}

@test "lines of help fit 80 columns" {
    for command in "" record report flamegraph symbolize perf-map merge dump status cache; do
        # shellcheck disable=SC2086
        hpprof $command --help >out
        awk 'length($0) > 80 { print; long = 1 } END { exit long }' out
    done
}

@test "an unknown command, also of help" {
    fails 2 "hpprof: 'reprot' is no command" hpprof reprot
    fails 2 "hpprof: 'reprot' is no command" hpprof help reprot
}

@test "unknown options" {
    fails 2 "hpprof: report: unknown option '--jsn'" hpprof report --jsn
    fails 2 "hpprof: report: unknown option '-z'" hpprof report -z
    fails 2 "hpprof: report: unknown option '-o'" hpprof report -o x
    fails 2 "hpprof: merge: unknown option '--rows'" hpprof merge --rows 1 a
}

@test "bad values name the option, the value and what is allowed" {
    fails 2 "hpprof: report: --sort: 'size' is not allowed, only flat|cum|name" hpprof report --sort size
    fails 2 "hpprof: report: --sort: 'size' is not allowed, only flat|cum|name" hpprof report -ssize
    fails 2 "hpprof: report: --rows: '-1' is not allowed, only 0..1000000" hpprof report -n -1
    fails 2 "hpprof: report: --rows: '1x' is not allowed, only 0..1000000" hpprof report --rows=1x
    fails 2 "hpprof: report: --by: '' is not allowed, only function|image|thread|process" hpprof report --by=
}

@test "missing and superfluous arguments" {
    fails 2 "hpprof: report: --rows needs an argument: N" hpprof report --rows
    fails 2 "hpprof: report: --rows needs an argument: N" hpprof report -n
    fails 2 "hpprof: report: --json takes no argument" hpprof report --json=1
    fails 2 "hpprof: report: 'b' is one argument too many" hpprof report a b
    fails 2 "hpprof: symbolize: missing argument" hpprof symbolize
    fails 2 "hpprof: perf-map: missing argument" hpprof perf-map
    fails 2 "hpprof: merge: missing argument" hpprof merge -o x
    fails 2 "hpprof: merge: say where to write: -o FILE" hpprof merge a
    fails 2 "hpprof: symbolize: say where to write: -o FILE" hpprof symbolize a
}

@test "options after operands, --, and files that look like options" {
    make_profile -x.pb
    hpprof report -- -x.pb | grep -q '10 samples'
    hpprof report ./-x.pb --json | jq -e '.total_samples == 10'
}
