#!/bin/sh
# What needs tools beyond the compiler: formatting, shell scripts, manual pages, and builds where every warning of gcc and
# of clang is an error. Called by `make lint`, which sees to the tools.
set -u
cd "$(dirname "$0")/.." || exit 2
status=0

find common profiler preload symbolizer cli include examples tests bench -name '*.[ch]' -print0 |
    xargs -0 clang-format --dry-run -Werror || status=1
find scripts bench tests .ci/run -type f \( -name '*.sh' -o -name run \) -print0 |
    xargs -0 shellcheck -x -S warning || status=1
find tests -name '*.bats' -print0 | xargs -0 shellcheck -x -S warning || status=1
mandoc -T lint -W warning docs/man/*.[17] || status=1
for check in scripts/check-lengths.sh scripts/check-flags.sh scripts/check-layers.sh; do
    $check || status=1
done
for compiler in gcc clang; do
    ${MAKE:-make} --no-print-directory "BUILD=build/lint-$compiler" "CC=$compiler" WERROR=-Werror \
        all programs unwind-programs torture-programs unit bench-programs || status=1
done
scripts/check-man.sh build/lint-gcc || status=1
exit $status
