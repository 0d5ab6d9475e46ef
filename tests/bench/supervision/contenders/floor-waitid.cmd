# scenarios: restart rest rest-1000 behaviour
{bin}/floor wait -- {child}
