#!/bin/bash
# A MariaDB server under sysbench for some seconds, with a data folder of its own, below the present directory. What
# LD_PRELOAD and HPPROF_* of the caller say holds for the server only.
set -u
PATH=$PATH:/usr/sbin
preload=${LD_PRELOAD-}
unset LD_PRELOAD
data=$PWD/mariadb.$$
trap 'rm -rf "$data"' EXIT
options=(--no-defaults --datadir="$data" --user="$(id -un)")
mariadb-install-db "${options[@]}" --auth-root-authentication-method=normal >"$PWD/mariadb.log" 2>&1 || exit 1
LD_PRELOAD=$preload mariadbd "${options[@]}" --socket="$data/socket" --skip-networking >>"$PWD/mariadb.log" 2>&1 &
server=$!
client=(sysbench oltp_read_only --db-driver=mysql --mysql-socket="$data/socket" --mysql-user=root --mysql-db=test
    --tables=2 --table-size=20000 --threads=2)
for ((try = 0; try < 100; try++)); do
    [ -S "$data/socket" ] && break
    sleep 0.1
done
"${client[@]}" prepare && "${client[@]}" --time=8 run
status=$?
kill $server
wait $server
exit $status
