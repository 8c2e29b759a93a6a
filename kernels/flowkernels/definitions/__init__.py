"""What each operator computes, in plain PyTorch: the specification that every faster implementation is tested against."""
