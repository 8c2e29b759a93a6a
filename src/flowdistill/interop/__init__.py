"""Weights from elsewhere: TensorFlow's variables, and our own checkpoints (`init_from`)."""

from flowdistill.interop.init_from import init_from, network_weights, read_checkpoint
from flowdistill.interop.tensorflow import load_tensorflow_variables, tensorflow_variables

__all__ = [
    "init_from",
    "load_tensorflow_variables",
    "network_weights",
    "read_checkpoint",
    "tensorflow_variables",
]
