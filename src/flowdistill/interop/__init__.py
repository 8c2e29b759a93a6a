"""Weights of the TensorFlow originals."""

from flowdistill.interop.tensorflow import load_tensorflow_variables, tensorflow_variables

__all__ = ["load_tensorflow_variables", "tensorflow_variables"]
