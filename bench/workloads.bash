# Stock programs at work that takes some CPU-seconds, with inputs that are generated and always the same. Sourced
# by bench/unwind_programs.sh and tests/unwind/check.sh.
# shellcheck shell=bash disable=SC2034,SC2154 # what is set here is for the callers, and $work is theirs

WORKLOADS='g++ clang++ python3 perl xz sqlite3 openssl git gzip mariadbd'

# workload_begin: makes the folder $work anew, with a cache of its own in it, until the script ends (or for good,
# with KEEP set); goes to the inputs there.
workload_begin() {
    rm -rf "$work" && mkdir -p "$work/cache" || exit 2
    [ -n "${KEEP-}" ] || trap 'rm -rf "$work"' EXIT
    export HPPROF_CACHE=$work/cache
    workload_prepare "$work/inputs" && cd "$work/inputs" || exit 2
}

# workload_prepare DIRECTORY: makes the inputs there.
workload_prepare() {
    mkdir -p "$1" || return
    awk 'BEGIN { s = 1
        for (i = 0; i < 900000; i++) { s = s * 16807 % 2147483647
            printf "%d line %d of %x and %s\n", i, s % 977, s, substr("abcdefghijklmnopqrstuvwxyz", s % 20 + 1, 5) } }' \
        >"$1/text"
    cat >"$1/work.cc" <<'C'
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <vector>
template <int N> struct item { std::map<std::string, std::vector<item<N - 1>>> of; std::function<int(int)> f; int at(int x) const { std::regex r("[a-z]+" + std::to_string(N)); std::string s = std::to_string(x); std::smatch m; int sum = f ? f(x) : 0; if (std::regex_search(s, m, r)) sum += (int)m.size(); for (auto &p : of) for (auto &i : p.second) sum += i.at(x + N); return sum; } };
template <> struct item<0> { int at(int x) const { return x; } };
int main(int c, char **) { item<40> i; i.f = [c](int x) { return x * c; }; std::vector<int> v{3, 1, 2}; std::sort(v.begin(), v.end()); std::cout << i.at(v[0]) << "\n"; }
C
    cat >"$1/work.py" <<'P'
class Node:
    def __init__(self, value): self.value, self.left, self.right = value, None, None
    def insert(self, value):
        side = "left" if value < self.value else "right"
        child = getattr(self, side)
        if child is None: setattr(self, side, Node(value))
        else: child.insert(value)
    def total(self): return self.value + sum(c.total() for c in (self.left, self.right) if c)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
total, seed = 0, 1
for turn in range(400):
    root = Node(500000)
    for _ in range(6000):
        seed = (seed * 1103515245 + 12345) % 2147483648
        root.insert(seed % 1000000)
    total += root.total() + fib(18)
    words = {str(i): [i] * 3 for i in range(5000)}
    total += sum(sorted((v[0] * 7919) % 1009 for v in words.values()))
print(total)
P
    cat >"$1/work.pl" <<'P'
my (%count, @words); my $sum = 0;
sub depth { my $n = shift; return $n ? depth($n - 1) + 1 : 0 }
open my $in, '<', 'text' or die;
for my $turn (1 .. 6) { seek $in, 0, 0; while (<$in>) { next unless /line (\d+) of ([0-9a-f]+) and (\w+)/; $count{$1 . $3}++; push @words, $3 if $. % 50 == 0; $sum += depth(5) if $. % 8 == 0 } }
my @sorted = sort { $count{$a} <=> $count{$b} || $a cmp $b } keys %count;
$sum += length join ',', sort map { uc } @words;
print scalar(@sorted), " $sum\n";
P
    cat >"$1/work.sql" <<'S'
create table a(id integer primary key, k integer, t text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 900000)
  insert into a select i, (i * 7919) % 10007, 'row ' || (i % 97) || ' of ' || i from n;
create index ak on a(k);
select count(*), sum(length(t)) from a where t like '%7%9%';
select k % 10, count(distinct t), max(id) from a group by 1 order by 2, 1;
select count(*) from a x join a y on x.k = y.k and x.id < y.id where x.id < 300000;
select sum(s) from (select k, sum(id) over (partition by k order by t) s from a where id < 600000);
S
    workload_repository "$1"
}

# A repository whose history is long and whose files differ in every commit.
workload_repository() {
    rm -rf "$1/repository"
    git init -q "$1/repository" || return
    awk 'BEGIN { s = 7
        for (c = 1; c <= 9000; c++) {
            printf "commit refs/heads/work\nmark :%d\ncommitter A <a@example.org> %d +0000\ndata 5\nturn\n", c, 1700000000 + c
            if (c > 1) printf "from :%d\n", c - 1
            text = ""
            for (l = 0; l < 900; l++) { s = s * 16807 % 2147483647
                text = text (s % 12 ? "line " l " stays " l * 7 : "line " l " is " s) "\n" }
            printf "M 100644 inline file%d\ndata %d\n%s\n", c % 5, length(text), text
        } }' | git -C "$1/repository" fast-import --quiet
}

# workload NAME: sets the array COMMAND, to be run in the directory of the inputs, or WHY it cannot be run.
workload() {
    COMMAND=() WHY=
    case $1 in
    g++ | clang++) COMMAND=("$1" -std=c++17 -O2 -c work.cc -o "work.$1.o") ;;
    python3) COMMAND=(/usr/bin/python3 work.py) ;;
    perl) COMMAND=(perl work.pl) ;;
    xz) COMMAND=(xz -2 -T1 -c text) ;;
    sqlite3) COMMAND=(sqlite3 :memory: '.read work.sql') ;;
    openssl) COMMAND=(openssl dgst -sha3-256 text{,,,,,,,,,,,,,,,,,,,,}{,,,}) ;;
    git) COMMAND=(git -C repository --no-pager log -p --stat --word-diff work) ;;
    gzip) COMMAND=(gzip -7 -c text text) ;;
    mariadbd) COMMAND=("$(dirname "${BASH_SOURCE[0]}")/workload_mariadb.sh") ;;
    esac
    if [ "$1" = mariadbd ]; then
        PATH=$PATH:/usr/sbin command -v mariadbd >/dev/null && command -v sysbench >/dev/null ||
            WHY='mariadbd and sysbench are not installed'
    else
        command -v "${COMMAND[0]}" >/dev/null || WHY="$1 is not installed"
    fi
}
