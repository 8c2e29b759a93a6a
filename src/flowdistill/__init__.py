"""flowdistill: optical flow and scene flow trained by distillation, on PyTorch Lightning."""

__version__ = "0.1.0"
