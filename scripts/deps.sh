#!/bin/sh
# Finds what is missing to build (deps.sh build), to test (deps.sh test), to lint (deps.sh lint), to walk the
# stacks of stock programs (deps.sh programs), to compare with other samplers (deps.sh bench) or with others that
# move text (deps.sh remap), and installs the Debian packages by name: as root, or with sudo.
# Elsewhere it prints the one command to type and exits 1. Nothing missing: no network use.
set -u

# package, then how to see that it is there: a command, a pkg-config module, or a header
build_needs='
gcc                  command cc
libc6-dev            header  stdio.h
binutils             command ld
pkg-config           command pkg-config
protobuf-c-compiler  command protoc-c
libprotobuf-c-dev    module  libprotobuf-c
libelf-dev           module  libelf
libdw-dev            module  libdw
libiberty-dev        header  libiberty/demangle.h
zlib1g-dev           module  zlib
libunwind-dev        module  libunwind-generic
'
test_needs="$build_needs
g++                  command c++
bats                 command bats
libcmocka-dev        module  cmocka
golang-go            command go
linux-perf           command perf
strace               command strace
procps               command pkill
gdb                  command gdb
xz-utils             command xz
jq                   command jq
"
lint_needs="$build_needs
clang                command clang
clang-format         command clang-format
shellcheck           command shellcheck
mandoc               command mandoc
libcmocka-dev        module  cmocka
"
# bench/workloads.bash
program_needs="$build_needs
g++                  command g++
clang                command clang++
python3              command python3
perl                 command perl
xz-utils             command xz
sqlite3              command sqlite3
openssl              command openssl
git                  command git
gzip                 command gzip
mariadb-server-core  command mariadbd
mariadb-client-core  command mariadb
sysbench             command sysbench
"

bench_needs='
libgoogle-perftools-dev header gperftools/profiler.h
linux-perf           command perf
g++                  command g++
jq                   command jq
git                  command git
'

# bench/remap.sh
remap_needs="$test_needs
clang                command clang++
nodejs               command node
mariadb-server-core  command mariadbd
mariadb-client-core  command mariadb
sysbench             command sysbench
libhugetlbfs-dev     library hugetlbfs
e2fsprogs            command mkfs.ext4
"

# there KIND NAME: is it on this machine?
there() {
    case $1 in
    command) PATH=$PATH:/usr/sbin command -v "$2" ;;
    module) pkg-config --exists "$2" ;;
    library) echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null "-l$2" ;;
    header) echo "#include <$2>" | cc -E - ;;
    esac >/dev/null 2>&1
}

missing() {
    echo "$needs" | while read -r package kind name; do
        [ -z "$package" ] || there "$kind" "$name" || printf '%s ' "$package"
    done
}

case ${1-} in
build) needs=$build_needs ;;
test) needs=$test_needs ;;
lint) needs=$lint_needs ;;
programs) needs=$program_needs ;;
bench) needs=$bench_needs ;;
remap) needs=$remap_needs ;;
*)
    echo "usage: deps.sh build|test|lint|programs|bench|remap" >&2
    exit 2
    ;;
esac

packages=$(missing)
[ -n "$packages" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    sudo=sudo
else
    sudo=none
fi
if [ "$sudo" = none ] || ! command -v apt-get >/dev/null; then
    echo "hpprof: missing packages; install them with:" >&2
    echo "    sudo apt-get install $packages" >&2
    exit 1
fi

echo "installing $packages"
# shellcheck disable=SC2086 # a list of words
$sudo apt-get update &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages || exit 1
packages=$(missing)
if [ -n "$packages" ]; then
    echo "hpprof: still missing after the installation: $packages" >&2
    exit 1
fi
