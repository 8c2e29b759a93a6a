"""Evaluating files of predictions as the benchmarks do, and checking submissions to them: KITTI and Sintel."""
