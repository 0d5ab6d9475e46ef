#!/bin/bash
# A service that says by its notification-fd that it is up is started again at once; without, a
# second after its last start.
# scenarios: restart rest rest-logs rest-1000 log behaviour
# needs: s6-svscan s6-log
. "$(dirname "$0")/lib.sh"

task() {
    local service=$BENCH_DIR/sv/$1
    script "$service/run" 'echo >&3' 'exec 3>&-' "exec $2"
    echo 3 >"$service/notification-fd"
    if [ "$BENCH_LOGS" = 1 ]; then
        mkdir -p "$BENCH_DIR/log"
        script "$service/log/run" "exec s6-log -b n40 s$BENCH_LOG_BYTES $BENCH_DIR/log/$1"
    fi
}

generate() { each_task task; }

start() { exec s6-svscan -c 4000 "$BENCH_DIR/sv"; }

"$1"
