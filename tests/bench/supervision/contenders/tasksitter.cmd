# One for each task; with a control group and with its logs, in every scenario.
# scenarios: restart rest rest-logs rest-1000 memory log behaviour
# needs: {bin}/tasksitter
{bin}/tasksitter --state {dir}/state-{i} --settle 1 --stdout-location {logs}/{i}.log --stderr-location {logs}/{i}.err --log-bytes {rot} --log-files 40 --log-compress off --mem {mem_mb} -- {child}
