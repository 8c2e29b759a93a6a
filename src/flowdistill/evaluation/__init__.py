"""Score prediction files as the benchmarks do."""
