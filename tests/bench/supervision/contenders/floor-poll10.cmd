# scenarios: memory
{bin}/floor poll {mem} 10 -- {child}
