#!/bin/bash
# It looks once a second, which is as often as it can; it starts what becomes a daemon by itself.
# scenarios: memory
# needs: monit
. "$(dirname "$0")/lib.sh"

task() {
    local pid_file=$BENCH_DIR/$1.pid
    script "$BENCH_DIR/start-$1" "setsid sh -c 'echo \$\$ >$pid_file; exec $2' </dev/null >/dev/null 2>&1 &"
    script "$BENCH_DIR/stop-$1" "kill -KILL \$(cat $pid_file)"
    cat <<END
check process t$1 with pidfile $pid_file
    start program = "$BENCH_DIR/start-$1"
    stop program = "$BENCH_DIR/stop-$1"
END
    if [ "$BENCH_MEMORY_MB" != 0 ]; then
        echo "    if total memory > $BENCH_MEMORY_MB MB then restart"
    fi
}

generate() {
    local config=$BENCH_DIR/monitrc
    {
        echo 'set daemon 1'
        echo "set pidfile $BENCH_DIR/pid"
        echo "set statefile $BENCH_DIR/state"
        echo "set idfile $BENCH_DIR/id"
        each_task task
    } >"$config"
    chmod 600 "$config"
}

start() { exec monit -I -c "$BENCH_DIR/monitrc"; }

"$1"
