#!/bin/bash
# scenarios: restart rest rest-logs rest-1000 log behaviour
# needs: supervisord
. "$(dirname "$0")/lib.sh"

header() {
    cat <<END
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=$BENCH_DIR/pid
minfds=18000
childlogdir=$BENCH_DIR
END
}

task() {
    cat <<END
[program:t$1]
command=$2
autorestart=true
startretries=1000000
redirect_stderr=true
END
    if [ "$BENCH_LOGS" = 1 ]; then
        cat <<END
stdout_logfile=$BENCH_DIR/log/$1.log
stdout_logfile_maxbytes=$BENCH_LOG_BYTES
stdout_logfile_backups=40
END
    else
        echo 'stdout_logfile=NONE'
    fi
}

generate() {
    mkdir -p "$BENCH_DIR/log"
    { header; each_task task; } >"$BENCH_DIR/supervisord.conf"
}

start() { exec supervisord -c "$BENCH_DIR/supervisord.conf"; }

"$1"
