"""Statistics of comparisons: pure functions on arrays, which know nothing of runs."""
