#!/bin/bash
# scenarios: restart rest rest-logs rest-1000 log behaviour
# needs: runsvdir svlogd
. "$(dirname "$0")/lib.sh"

task() {
    local service=$BENCH_DIR/sv/$1 log=$BENCH_DIR/log/$1
    script "$service/run" "exec $2"
    if [ "$BENCH_LOGS" = 1 ]; then
        mkdir -p "$log"
        printf 's%s\nn40\n' "$BENCH_LOG_BYTES" >"$log/config"
        script "$service/log/run" "exec svlogd $log"
    fi
}

generate() { each_task task; }

start() { exec runsvdir "$BENCH_DIR/sv"; }

# On this signal it also ends its services.
stop() { kill -HUP "$BENCH_PID"; }

"$1"
