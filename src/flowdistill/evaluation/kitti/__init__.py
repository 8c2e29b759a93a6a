"""Score folders of predictions as KITTI's development kit does (docs/evaluation.md)."""
