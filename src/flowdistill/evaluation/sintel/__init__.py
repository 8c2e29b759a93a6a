"""Score folders of predictions with the end-point errors of Sintel's table (docs/evaluation.md)."""
