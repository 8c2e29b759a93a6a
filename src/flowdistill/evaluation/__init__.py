"""Scores files of predictions as the benchmarks do."""
