#!/bin/sh
# check-man.sh BUILD: the manual pages say what the command's help and proto/options.def say, and nothing is left out.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${1:?usage: check-man.sh BUILD}
status=0

wrong() {
    echo "check-man: $*"
    status=1
}

for page in docs/man/*.[17]; do
    scripts/man.sh "$build" "$page" | diff "$page" - || wrong "$page: 'make man' makes it anew"
done
for command in $("$build/hpprof" help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'); do
    grep -qx ".Ss $command" docs/man/hpprof.1 || wrong "docs/man/hpprof.1: no $command"
    for flag in $("$build/hpprof" help "$command" | sed -n 's/^  \(-.,\|   \) --\([a-z-]*\).*/\2/p'); do
        sed -n "/^\.Ss $command\$/,/^\.S[sh] /p" docs/man/hpprof.1 | grep -qE "^\.It .*Fl .-$flag( |$)" ||
            [ "$flag" = help ] || wrong "docs/man/hpprof.1: no --$flag of $command"
    done
done
for variable in $(grep -o '"HPPROF_[A-Z_]*"' proto/options.def | tr -d '"'); do
    grep -qE "Ev $variable( |$)" docs/man/*.[17] || wrong "no page has $variable"
done
exit $status
