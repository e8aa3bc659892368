"""What measures. Each script prints JSON lines; docs/performance.md holds what was found."""
