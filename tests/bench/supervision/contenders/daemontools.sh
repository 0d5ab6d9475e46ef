#!/bin/bash
# scenarios: restart rest rest-logs rest-1000 log behaviour
# needs: svscan multilog
. "$(dirname "$0")/lib.sh"

task() {
    local service=$BENCH_DIR/sv/$1
    script "$service/run" "exec $2"
    if [ "$BENCH_LOGS" = 1 ]; then
        mkdir -p "$BENCH_DIR/log"
        # The sticky bit asks for a log; no file of multilog's may be larger than this.
        chmod +t "$service"
        script "$service/log/run" "exec multilog s16777215 n99 $BENCH_DIR/log/$1"
    fi
}

generate() { each_task task; }

start() { exec svscan "$BENCH_DIR/sv"; }

# What scans goes first: it would start again what supervises.
stop() {
    kill -TERM "$BENCH_PID"
    svc -dx "$BENCH_DIR"/sv/*
    for log in "$BENCH_DIR"/sv/*/log; do
        [ ! -d "$log" ] || svc -dx "$log"
    done
}

"$1"
