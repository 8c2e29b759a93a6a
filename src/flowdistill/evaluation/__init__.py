"""Evaluating files of predictions as the benchmarks do: KITTI."""
