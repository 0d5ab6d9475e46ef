# scenarios: rest-logs log
{bin}/floor log {logs}/{i} {rot} 65536 -- {child}
