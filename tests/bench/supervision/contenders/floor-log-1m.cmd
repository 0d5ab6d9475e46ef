# scenarios: log
{bin}/floor log {logs}/{i} {rot} 1048576 -- {child}
