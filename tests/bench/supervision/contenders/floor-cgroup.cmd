# scenarios: memory
{bin}/floor cgroup {mem} -- {child}
