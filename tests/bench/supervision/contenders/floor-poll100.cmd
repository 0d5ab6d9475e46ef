# scenarios: memory
{bin}/floor poll {mem} 100 -- {child}
