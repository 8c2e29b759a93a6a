"""Cost of a training step as a table: parameters, operations, time, memory; and the largest batch that fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Part:
    """A part of the network, or of the step.

    Attributes:
        parameters: number of weights.
        flops: floating-point operations of one forward pass of the batch, convolutions and correlations; None if not
            counted.
        seconds: median time of its forward pass, or of that part of the step.
    """

    name: str
    parameters: int | None = None
    flops: int | None = None
    seconds: float | None = None


@dataclass
class Profile:
    """A training step.

    Attributes:
        batch: samples; size: (height, width).
        parts: the network's, in order, then the step's.
        kept: bytes stored for the backward pass, without weights.
        fixed: bytes of weights, gradients and Adam's moments, and of a teacher's weights.
        peak: peak bytes of device memory, or the growth of this process on a CPU.
        largest_batch: the largest that fits, None if not even one sample does; how: how it was determined.
    """

    model: str
    device: str
    precision: str
    batch: int
    size: tuple[int, int]
    parts: list[Part] = field(default_factory=list)
    kept: int = 0
    fixed: int = 0
    peak: int = 0
    largest_batch: int | None = None
    how: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def table(found: Profile) -> str:
    """Format the profile for the terminal."""
    height, width = found.size
    lines = [
        f"{found.model}, a training step of {found.batch} sample{'s' if found.batch > 1 else ''} of {height}x{width}, "
        f"{found.precision}, on {found.device}",
        "",
        f"{'':36}{'parameters':>13}{'GFLOP':>12}{'seconds':>11}",
    ]
    for part in found.parts:
        count = "" if part.parameters is None else f"{part.parameters:,}"
        flops = "" if part.flops is None else f"{part.flops / 1e9:,.2f}"
        seconds = "" if part.seconds is None else f"{part.seconds:.4f}"
        lines.append(f"{part.name:36}{count:>13}{flops:>12}{seconds:>11}")
    step = sum(
        part.seconds or 0.0
        for part in found.parts
        if part.name in ("network, forward", "loss", "backward", "optimizer")
    )
    largest_batch = "none" if found.largest_batch is None else str(found.largest_batch)
    return "\n".join([
        *lines,
        f"{'step':36}{'':>25}{step:>11.4f}",
        "",
        f"weights, gradients, moments          {found.fixed / 1e9:10.3f} GB",
        f"stored for the backward pass         {found.kept / 1e9:10.3f} GB",
        f"peak of a step                       {found.peak / 1e9:10.3f} GB"
        + ("" if found.device.startswith("cuda") else " (growth of the process)"),
        f"largest batch of one process         {largest_batch:>10} ({found.how})",
    ])  # fmt: skip
