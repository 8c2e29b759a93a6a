"""Weights of the TensorFlow originals."""

from flowdistill import renamed
from flowdistill.interop.tensorflow import load_tensorflow_variables, tensorflow_variables

__all__ = ["load_tensorflow_variables", "tensorflow_variables"]

__getattr__ = renamed.moved(
    __name__,
    {
        name: ("flowdistill.training.init_from", name)
        for name in ("init_from", "network_weights", "read_checkpoint")
    },
)
