"""Repeat a training step from its dumped batch, to find the source of non-finite values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from flowdistill.data.photometric.device import apply_on_device
from flowdistill.data.sample import IMAGES, Batch
from flowdistill.errors import UserError
from flowdistill.formats import write_image
from flowdistill.inference.one_step import at_step
from flowdistill.training import DDFlowModule, DwarfModule
from flowdistill.training.base import MotionModule
from flowdistill.training.batch_dump import KEYS, KIND
from flowdistill.training.init_from import read_checkpoint
from flowdistill.visual import contact_sheet, disparity_to_colours, flow_to_colours

_NOT_FINITE = (255, 0, 255)  # RGB


@dataclass
class Step:
    """Results of a training step.

    Attributes:
        values: the loss and its terms.
        modules: modules of the network, and of a teacher's, with non-finite output, in the order in which they ran.
        gradients: weights with a non-finite gradient.
    """

    values: dict[str, float] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    gradients: list[str] = field(default_factory=list)


def read_dump(path: Path) -> dict[str, Any]:
    """Read a batch dumped by a training run; tensors and plain values only, no code is run.

    Raises:
        UserError: it is something else.
    """
    advice = "give a non_finite_step_*.pt from a run's folder"
    if not path.is_file():
        raise UserError(f"{path} does not exist or is not a file; {advice}")
    try:
        stored = read_checkpoint(path, "")
    except UserError as error:  # its message is about checkpoints
        raise UserError(f"{path} is not a batch of a training run; {advice}") from error
    if stored.get("kind") != KIND:
        raise UserError(f"{path} is not a batch of a training run, but perhaps a checkpoint; {advice}")
    if missing := [key for key in KEYS if key not in stored]:
        raise UserError(f"{path} is incomplete: it lacks {', '.join(missing)}; {advice}")
    return stored


def rebuild_model(dump: Mapping[str, Any], checkpoint: Path | None) -> MotionModule:
    """Rebuild the module as in training, with the weights of the dump or of a checkpoint, at the dump's step.

    Raises:
        UserError: the checkpoint is of another model, or has no settings.
    """
    stored = dump if checkpoint is None else read_checkpoint(checkpoint, "--checkpoint")
    if "hyper_parameters" not in stored:
        raise UserError(
            f"--checkpoint: {checkpoint} has weights without settings; give one of `lightning fit`"
        )
    kind, trained = (_kind(each["hyper_parameters"]) for each in (stored, dump))
    if kind is not trained:
        raise UserError(
            f"--checkpoint: {checkpoint} is of a {kind.__name__}, but the batch is of a {trained.__name__}; give a "
            "checkpoint of its run, or of a similar one"
        )
    # LightningCLI adds its own keys, starting with an underscore.
    left_out = ("init_from", "_class_path", "_instantiator")
    settings = {name: value for name, value in stored["hyper_parameters"].items() if name not in left_out}
    model = kind(**{**settings, "compile": False})
    at_step(model, dump["step"], dump["precision"], dump["seed"])
    content = {**stored, "state_dict": dict(stored["state_dict"])}
    model.on_load_checkpoint(content)
    model.load_state_dict(content["state_dict"])
    return model.train()


def _kind(settings: Mapping[str, Any]) -> type[DDFlowModule] | type[DwarfModule]:
    return DDFlowModule if "losses" in settings else DwarfModule


def run_step(model: MotionModule, batch: Batch) -> Step:
    """Compute loss and gradient of a batch, as in training; nothing is updated."""
    found = Step()

    def watch(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if not all(bool(torch.isfinite(value).all()) for value in _tensors(output)):
            found.modules.append(name)

    for name, module in model.named_modules():
        if name:
            module.register_forward_hook(partial(watch, name))
    with model.trainer.precision_plugin.forward_context():
        loss = cast(Tensor, model.training_step(batch, 0))
    loss.backward()
    (step,) = model.recent_steps.read()
    found.values = step.values
    found.gradients = [
        name
        for name, weight in model.named_parameters()
        if weight.grad is not None and not bool(torch.isfinite(weight.grad).all())
    ]
    return found


def describe(batch: Batch) -> list[str]:
    """List shape, type, range and the number of non-finite values of each tensor, one per line; then the samples.

    The mean of a mask is its share. Each tensor's samples with non-finite values follow, one per line, with the first
    position as indices into the sample.
    """
    where: list[str] = []
    lines = [
        f"{'':28}{'shape':>20}{'type':>10}{'smallest':>13}{'largest':>13}{'mean':>13}{'NaN':>9}{'inf':>9}"
    ]
    for name, value in sorted(batch.items()):
        if not isinstance(value, Tensor) or value.numel() == 0:
            continue
        numbers = value.double()
        finite = numbers[torch.isfinite(numbers)]
        low = high = mean = math.nan
        if finite.numel():
            low, high, mean = float(finite.min()), float(finite.max()), float(finite.mean())
        kind = str(value.dtype).removeprefix("torch.")
        lines.append(
            f"{name:28}{'x'.join(map(str, value.shape)):>20}{kind:>10}{low:13.4g}{high:13.4g}{mean:13.4g}"
            f"{int(torch.isnan(numbers).sum()):9d}{int(torch.isinf(numbers).sum()):9d}"
        )
        if finite.numel() < numbers.numel():
            for sample, part in zip(batch["name"], value, strict=True):
                places = (~torch.isfinite(part)).nonzero().tolist()
                if places:
                    where.append(
                        f"{name} of {sample}: {len(places)} values not finite, the first at {places[0]}"
                    )
    return [*lines, f"samples: {', '.join(batch['name'])}", *where]


def report(found: Step) -> list[str]:
    """Describe the results of a step, as lines of text."""
    modules, gradients = "every module's output is finite", "every gradient is finite"
    if found.modules:
        first, total = found.modules[0], len(found.modules)
        modules = f"first module whose output is not finite: {first} ({total} in total)"
    if found.gradients:
        shown = ", ".join(found.gradients[:5]) + (" ..." if len(found.gradients) > 5 else "")
        gradients = f"weights whose gradient is not finite: {len(found.gradients)}: {shown}"
    terms = [f"  {name:40}{value:14.6g}" for name, value in found.values.items()]
    return ["", "loss and terms:", *terms, "", modules, gradients]


def write_pictures(batch: Batch, folder: Path) -> list[Path]:
    """Write one sheet per sample: its frames, and its labels as colours, black where they are not valid.

    Non-finite values at valid pixels are magenta.

    Raises:
        UserError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output: cannot make the folder {folder} ({error.strerror})") from error
    tensors = cast("dict[str, Any]", batch)
    drawn = (*IMAGES, "flow", "teacher_flow", "disparity_t0", "disparity_t1")
    labels = [key for key in drawn if key in tensors]
    half = (len(labels) + 1) // 2
    written = []
    for row, name in enumerate(batch["name"]):
        masks = [tensors.get(f"valid_{key}") for key in labels]
        pictures = [
            _picture(tensors[key][row], None if mask is None else mask[row, 0].numpy())
            for key, mask in zip(labels, masks, strict=True)
        ]
        file = folder / f"{row}_{name.replace('/', '_')}.png"
        write_image(file, contact_sheet([pictures[:half], pictures[half:]], [labels[:half], labels[half:]]))
        written.append(file)
    return written


def on_device(batch: Mapping[str, Any]) -> Batch:
    """Return the batch as the network gets it: with the on-device changes applied."""
    return apply_on_device(cast(Batch, dict(batch)))


def _picture(value: Tensor, valid: np.ndarray | None) -> np.ndarray:
    """Draw an image (3, H, W) in [0, 1], a flow (2, H, W) or a disparity (1, H, W) as uint8 RGB."""
    values = value.float().permute(1, 2, 0).numpy()
    if values.shape[2] == 3:
        picture = (np.nan_to_num(values).clip(0, 1) * 255).round().astype(np.uint8)
    else:
        colours = flow_to_colours if values.shape[2] == 2 else disparity_to_colours
        picture = colours(values, valid=valid)
    bad = ~np.isfinite(values).all(axis=-1)
    picture[bad if valid is None else bad & valid] = _NOT_FINITE
    return picture


def _tensors(output: Any) -> Sequence[Tensor]:
    """Return all floating-point tensors in a module's output."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, Mapping):
        return [tensor for value in output.values() for tensor in _tensors(value)]
    if isinstance(output, list | tuple):
        return [tensor for value in output for tensor in _tensors(value)]
    inner = getattr(output, "__dict__", None)  # flowdistill's dataclasses
    return [tensor for value in inner.values() for tensor in _tensors(value)] if inner else []
