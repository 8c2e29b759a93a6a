"""Weights from elsewhere: TensorFlow's variables, and our own checkpoints (`init_from`)."""

from flowdistill.interop.init_from import init_from
from flowdistill.interop.tensorflow import load_tensorflow_variables, tensorflow_variables

__all__ = ["init_from", "load_tensorflow_variables", "tensorflow_variables"]
