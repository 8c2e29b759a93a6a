"""What each operator computes, in plain PyTorch: the specification that faster implementations are tested against."""
