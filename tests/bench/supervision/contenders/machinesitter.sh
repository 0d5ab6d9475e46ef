#!/bin/bash
# The agent without a controller, with a task sitter for each task; with control groups and logs in
# every scenario.
# scenarios: restart rest rest-logs rest-1000 memory log behaviour
# needs: {bin}/machinesitter {bin}/tasksitter curl
# logs: data/own/t0/logs
. "$(dirname "$0")/lib.sh"

definitions=$BENCH_DIR/data/definitions

task() {
    local memory=
    [ "$BENCH_MEMORY_MB" = 0 ] || memory="\"mem\": $BENCH_MEMORY_MB, "
    cat >"$definitions/t$1.json" <<END
{"name": "t$1", "command": "$2", "auto_start": true, "uid": 0, "settle": 1, $memory"log_bytes": $BENCH_LOG_BYTES, "log_files": 40, "log_compress": false}
END
}

generate() {
    mkdir -p "$definitions"
    each_task task
}

start() {
    exec "$BENCH_BIN/machinesitter" --data "$BENCH_DIR/data" --address 127.0.0.1 --port 0 \
        --bin "$BENCH_BIN"
}

# Its end is not its tasks' end: each is removed, which stops it.
stop() {
    local address
    address=$(tr -d '"' <"$BENCH_DIR/data/address.json")
    url() { printf 'url = "http://%s/v1/tasks/t%s"\n' "$address" "$1"; }
    each_task url | curl --silent --show-error --fail --request DELETE --config -
    kill -TERM "$BENCH_PID"
}

"$1"
