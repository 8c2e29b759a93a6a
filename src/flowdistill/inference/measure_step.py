"""Measure a training step, by part: parameters, operations, time, memory; and the largest batch that fits.

Uses synthetic samples of the config's crop, so no data are needed. Times are medians; on a GPU the device is
synchronised after each part, so their sum exceeds the time of a step.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

import flowkernels  # noqa: F401 - registers the operators
from flowdistill.data.sample import IMAGES, Batch
from flowdistill.errors import UserError
from flowdistill.inference.one_step import at_step
from flowdistill.inference.profile import Part, Profile
from flowdistill.training.base import MotionModule
from flowdistill.training.ddflow import DDFlowModule

_REPEATS = 3
_LABELS = {"flow": 2, "disparity_t0": 1, "disparity_t1": 1}


@register_flop_formula(torch.ops.flowkernels.correlation)
def _correlation_flops(x: Any, *others: Any, out_shape: Any = None, **_: Any) -> int:
    """Count one multiplication and one addition per channel and entry of the volume."""
    batch, shifts, height, width = out_shape
    return int(2 * batch * shifts * height * width * x[1])


def synthetic_batch(model: MotionModule, samples: int, size: tuple[int, int], device: torch.device) -> Batch:
    """Make a batch of noise in [0, 1] and labels of up to 20 px, (B, C, H, W), on a device."""
    generator = torch.Generator().manual_seed(0)
    made: dict[str, Any] = {}
    for key in IMAGES if model.view == "scene_flow" else ("left_t0", "left_t1"):
        made[key] = torch.rand(samples, 3, *size, generator=generator)
    if model.needs_labels:
        for key, channels in _LABELS.items():
            made[key] = 20 * torch.rand(samples, channels, *size, generator=generator)
            made[f"valid_{key}"] = torch.ones(samples, 1, *size, dtype=torch.bool)
    for suffix in ("", "_backward"):  # of an offline teacher
        made[f"teacher_flow{suffix}"] = 20 * torch.rand(samples, 2, *size, generator=generator)
        made[f"teacher_occluded{suffix}"] = torch.rand(samples, 1, *size, generator=generator) > 0.9
    moved = {key: value.to(device) for key, value in made.items()}
    return cast(Batch, moved | {"name": [str(number) for number in range(samples)]})


def measure(
    model: MotionModule, samples: int, size: tuple[int, int], step: int, precision: Any, accelerator: str
) -> Profile:
    """Measure a training step.

    Args:
        model: the module, with any weights.
        samples: batch size of one process.
        size: (height, width) of the crop.
        step: optimizer step, which determines the terms of the loss.
        precision, accelerator: of the trainer.

    Raises:
        UserError: one sample does not fit into the device's memory.
    """
    trainer = at_step(model, step, precision, accelerator=accelerator)
    device = trainer.strategy.root_device
    model.to(device).train()
    if isinstance(model, DDFlowModule) and model.teacher is not None and not model.teacher.ready:
        model.teacher.prepare(cast(Any, model.network))
        model.teacher.to(device)
    optimizer = torch.optim.Adam(model.trained_parameters(), lr=0.0)
    found = Profile(
        type(model).__name__, str(device), str(precision), samples, size, fixed=_fixed_bytes(model)
    )

    def run(batch: Batch) -> None:
        optimizer.zero_grad()
        _forward(model, batch, trainer).backward()
        model.recent_steps.read()
        optimizer.step()

    try:
        batch = synthetic_batch(model, samples, size, device)
        found.peak = _peak(device, lambda: run(batch))
        _times(found, model, batch, optimizer, trainer)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"a batch of {samples} samples of {size[0]}x{size[1]} does not fit into the memory of {device}: use "
            "--batch-size 1 or a smaller --size"
        ) from error
    found.kept = _kept_bytes(model, batch, trainer)
    if device.type == "cuda":
        found.largest_batch = largest(
            lambda count: _fits(lambda: run(synthetic_batch(model, count, size, device)))
        )
        found.how = "measured, by trying until out of memory"
    else:
        free = _available_memory()
        each = max(found.kept / samples, 1)
        # Gradients of the activations temporarily need memory as well.
        found.largest_batch = int(max(free - found.fixed, 0) / (1.5 * each)) or None
        found.how = (
            f"estimated: {free / 1e9:.1f} GB are available, 1.5 times what is stored for the backward pass"
        )
    return found


def largest(fits: Callable[[int], bool]) -> int | None:
    """Return the largest number for which a monotonic `fits` is true; None if it is false for 1.

    >>> largest(lambda count: count <= 37)
    37
    """
    if not fits(1):
        return None
    low = 1
    while fits(2 * low):
        low *= 2
    high = 2 * low  # does not fit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def parts_of(network: nn.Module) -> dict[str, nn.Module]:
    """Return the network's parts by name: its children, with the levels of a ModuleDict as separate parts.

    Examples:
        >>> from flowdistill.inference.measure_step import parts_of
        >>> from flowdistill.networks import DDFlowNet
        >>> list(parts_of(DDFlowNet(width=0.125)))[:3]
        ['extractor', 'estimators.6', 'estimators.5']
    """
    found: dict[str, nn.Module] = {}
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleDict):
            found |= {f"{name}.{key}": each for key, each in child.items()}
        else:
            found[name] = child
    return found


def _times(found: Profile, model: MotionModule, batch: Batch, optimizer: Any, trainer: Any) -> None:
    """Fill in the parts: parameters, operations of the forward pass, median times."""
    device = trainer.strategy.root_device
    parts = parts_of(model.network)
    seconds: dict[str, list[float]] = {
        name: [] for name in (*parts, "network", "loss", "backward", "optimizer")
    }
    running: dict[str, float] = {}
    spent: dict[str, float] = {}

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    def before(name: str, *_: Any) -> None:
        running[name] = now()

    def after(name: str, *_: Any) -> None:
        spent[name] = spent.get(name, 0.0) + now() - running[name]  # some parts run more than once

    handles = []
    for name, module in (*parts.items(), ("network", model.network)):
        handles.append(module.register_forward_pre_hook(partial(before, name)))
        handles.append(module.register_forward_hook(partial(after, name)))
    for _ in range(_REPEATS):
        spent.clear()
        optimizer.zero_grad()
        started = now()
        loss = _forward(model, batch, trainer)
        forward = now()
        within = dict(spent)  # a checkpointed part runs again in the backward pass
        loss.backward()
        backward = now()
        model.recent_steps.read()
        optimizer.step()
        ended = now()
        for name, value in within.items():
            seconds[name].append(value)
        seconds["loss"].append(forward - started - within["network"])
        seconds["backward"].append(backward - forward)
        seconds["optimizer"].append(ended - backward)
    for handle in handles:
        handle.remove()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        _forward(model, batch, trainer)
    model.recent_steps.read()
    root = type(model.network).__name__
    flops = {name: int(sum(counts.values())) for name, counts in counter.get_flop_counts().items()}
    median = {name: statistics.median(values) for name, values in seconds.items() if values}
    for name, module in parts.items():
        found.parts.append(Part(name, _weights(module), flops.get(f"{root}.{name}", 0), median.get(name)))
    total = flops.get(root, 0)
    between = total - sum(part.flops or 0 for part in found.parts)
    rest = median["network"] - sum(part.seconds or 0.0 for part in found.parts)
    found.parts.append(Part("between (correlation, warps)", 0, between, max(rest, 0.0)))
    found.parts.append(Part("network, forward", _weights(model.network), total, median["network"]))
    found.parts += [Part(name, seconds=median[name]) for name in ("loss", "backward", "optimizer")]
    if isinstance(model, DDFlowModule) and model.teacher is not None:
        found.parts.append(Part("teacher (its time is in the loss's)", _weights(model.teacher)))


def _forward(model: MotionModule, batch: Batch, trainer: Any) -> Tensor:
    """Return the loss of a batch, in the trainer's precision."""
    with trainer.precision_plugin.forward_context():
        return cast(Tensor, model.training_step(batch, 0))


def _weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _kept_bytes(model: MotionModule, batch: Batch, trainer: Any) -> int:
    """Return the bytes of distinct storages saved for the backward pass, without weights."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    storages: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        loss = _forward(model, batch, trainer)  # kept alive, so that no storage is reused meanwhile
    model.recent_steps.read()
    assert loss is not None
    return sum(storages.values())


def _fixed_bytes(model: MotionModule) -> int:
    trained = sum(weight.numel() * weight.element_size() for weight in model.trained_parameters())
    everything = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    return 4 * trained + (everything - trained)  # weight, gradient, two moments


def _peak(device: torch.device, run: Callable[[], None]) -> int:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/statm")
    before = int(status.read_text().split()[1]) * resource.getpagesize() if status.is_file() else 0
    run()
    unit = 1 if sys.platform == "darwin" else 1024
    return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before, 0)


def _available_memory() -> int:
    memory = Path("/proc/meminfo")
    if memory.is_file():
        for line in memory.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def _fits(run: Callable[[], None]) -> bool:
    try:
        run()
        torch.cuda.synchronize()
        return True
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
