"""Weights of the TensorFlow originals as a checkpoint that `lightning` and `flowdistill` take."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from flowdistill import __version__
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.inference.load import model_of
from flowdistill.interop import load_tensorflow_variables, tensorflow_variables
from flowdistill.interop.tensor_bundle import read_checkpoint
from flowdistill.networks import DDFlowNet, Dwarf
from flowdistill.training.base import MotionModule

Network = Literal["dwarf", "ddflow"]
MODELS = {"dwarf": Dwarf, "ddflow": DDFlowNet}
# The last parts of names that optimisers and averages add to those of variables, and variables of their own.
_SLOTS = frozenset(
    (
        *("Adam", "Adam_1", "Momentum", "RMSProp", "RMSProp_1", "Adagrad"),
        *("Adadelta", "Adadelta_1", "Ftrl", "Ftrl_1", "ExponentialMovingAverage"),
    )
)
_COUNTERS = frozenset(("global_step", "beta1_power", "beta2_power"))
# A layer with many channels in each network, by which the width is found: variable, channels at width 1.
_WIDE = {
    "dwarf": ("dwarf/decoder/block_6/estimator/estimator_block_0/Conv/biases", 128),
    "ddflow": ("estimator_level_6/conv1/biases", 128),
}
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, NotImplementedError)


@dataclass(frozen=True)
class Imported:
    """What was imported: number of variables, of those that were ignored by kind, the scope that was removed, width."""

    variables: int
    ignored: dict[str, int]
    scope: str
    width: float


def import_tensorflow(model: Network, checkpoint: Path, output: Path) -> Imported:
    """Convert a TensorFlow checkpoint or an .npz of variables.

    Args:
        model: one of `MODELS`.
        checkpoint: PREFIX of PREFIX.index, a file of the older format, or an .npz: name -> array, as TensorFlow stores
            it.
        output: the checkpoint to write.

    Raises:
        UserError: the checkpoint is missing or damaged, or does not contain exactly this network's variables.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.inference.import_weights import import_tensorflow
        >>> from flowdistill.interop import tensorflow_variables
        >>> from flowdistill.networks import DDFlowNet
        >>> arrays = {  # kernels (kh, kw, in, out), as TensorFlow stores them
        ...     name: np.zeros([own.shape[k] for k in (2, 3, 1, 0)] if own.dim() == 4 else own.shape)
        ...     for name, own in tensorflow_variables(DDFlowNet(width=0.125)).items()
        ... }
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/weights.npz", global_step=5, **arrays)
        ...     done = import_tensorflow("ddflow", Path(folder, "weights.npz"), Path(folder, "ddflow.ckpt"))
        >>> done.variables, done.width, done.ignored
        (98, 0.125, {'global_step': 1})
    """
    names = list(tensorflow_variables(MODELS[model]()))
    shapes, values, files = _read(checkpoint)
    scope = _scope(names, shapes)
    ignored: Counter[str] = Counter()
    chosen: dict[str, np.ndarray] = {}
    for name in shapes:
        kind = _kind(name)
        if kind is not None:
            ignored[kind] += 1
        elif name.startswith(scope):
            chosen[name.removeprefix(scope)] = values[name]
        else:
            chosen[name] = values[name]
    width = _width(model, chosen)
    module = model_of(model, width)
    network: nn.Module = module.network
    try:
        load_tensorflow_variables(network, chosen)
    except ValueError as error:
        raise UserError(
            f"--checkpoint: {checkpoint} does not contain {type(network).__name__}: {error}{_other(model, chosen)}"
        ) from error
    bad = [name for name, value in tensorflow_variables(network).items() if not torch.isfinite(value).all()]
    if bad:
        raise UserError(f"--checkpoint: {checkpoint}: {bad[0]} contains values that are not finite")
    source = {
        "path": str(checkpoint),
        "sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "flowdistill": __version__,
    }
    _save(module, source, output)
    return Imported(len(names), dict(ignored), scope, width)


def _read(checkpoint: Path) -> tuple[dict[str, tuple[int, ...]], Mapping[str, Any], list[Path]]:
    """Return the shapes of all variables, the values of those that may be weights, and the files."""
    if checkpoint.suffix.lower() == ".npz":
        arrays = _read_npz(checkpoint)
        return {name: array.shape for name, array in arrays.items()}, arrays, [checkpoint]
    if checkpoint.is_dir():
        raise UserError(
            f"--checkpoint: {checkpoint} is a folder; give the common start of the names of the files .index and "
            ".data-00000-of-00001 in it"
        )
    stored = read_checkpoint(checkpoint, lambda name: _kind(name) is None)
    return stored.shapes, stored.values, stored.files


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        with stored:
            arrays = {name.removesuffix(":0"): stored[name] for name in stored.files}
    except OSError as error:
        raise UserError(f"--checkpoint: {path} cannot be read: {error.strerror or error}") from error
    except _BROKEN_ZIP as error:
        raise UserError(f"--checkpoint: {path} is damaged or not an .npz of arrays: {error}") from error
    for name, array in arrays.items():
        if _kind(name) is None and array.dtype.kind != "f":
            raise UserError(f"--checkpoint: {path}: {name} is {array.dtype}, not floating point")
    return arrays


def _kind(name: str) -> str | None:
    """Return what a variable belongs to if it is no weight: an optimiser's slot or a counter."""
    last = name.rpartition("/")[2]
    return last if last in _SLOTS or last in _COUNTERS else None


def _scope(names: list[str], found: Mapping[str, Any]) -> str:
    """Return a scope below which all variables lie, as `model/`; "" if there is none."""
    if names[0] in found:
        return ""
    scopes = [name.removesuffix(names[0]) for name in found if name.endswith(f"/{names[0]}")]
    return next((scope for scope in scopes if all(scope + name in found for name in names)), "")


def _width(model: Network, found: Mapping[str, np.ndarray]) -> float:
    """Return the width of the stored network; 1 if its layer is not there."""
    name, channels = _WIDE[model]
    biases = found.get(name)
    return biases.shape[0] / channels if biases is not None and biases.ndim == 1 and biases.size else 1.0


def _other(model: Network, found: Mapping[str, np.ndarray]) -> str:
    """Return a hint if the variables are those of the other network."""
    for other, kind in MODELS.items():
        if other != model and set(tensorflow_variables(kind())) <= set(found):
            return f"\nThey are the variables of the other network: --model {other}"
    return ""


def _save(model: MotionModule, source: dict[str, Any], output: Path) -> None:
    stored = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": pl.__version__,
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "imported_from": source,
    }
    buffer = io.BytesIO()
    torch.save(stored, buffer)
    write_atomically(output, buffer.getbuffer())
