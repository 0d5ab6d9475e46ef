# What the descriptions of supervisors of many tasks have in common.
#
# A description is called with one word: `generate` (write the configuration of BENCH_TASKS tasks),
# `start` (become the supervisor; also a second time on the same directory) or `stop` (ask it,
# BENCH_PID, to end its tasks and itself). It sees
#   BENCH_DIR        a directory of its own
#   BENCH_BIN        where the bench's programs and ours are
#   BENCH_CHILD      the task's command line, with {i} for its number
#   BENCH_LOGS       1 where the task's output is to be kept, below $BENCH_DIR/log
#   BENCH_LOG_BYTES  when a log is to be rotated
#   BENCH_MEMORY_MB  the limit of a task's memory; 0 for none
# and starts nothing that leaves the control group that it is started in, but the tasks.
set -euo pipefail

# Calls a function for each task, with its number and its command line.
each_task() {
    local number
    for ((number = 0; number < BENCH_TASKS; number++)); do
        "$1" "$number" "${BENCH_CHILD//\{i\}/$number}"
    done
}

# Writes a shell script to the file $1: the rest of the words, one a line.
script() {
    local file=$1
    shift
    mkdir -p "$(dirname "$file")"
    printf '%s\n' '#!/bin/sh' "$@" >"$file"
    chmod +x "$file"
}

# Most end with everything that is theirs when they are told by the usual signal.
stop() {
    kill -TERM "$BENCH_PID"
}
