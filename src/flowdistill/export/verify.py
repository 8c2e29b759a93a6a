"""Run an exported file beside the network it was made from.

images    # (1, 3, H, W) RGB in [0, 1]
motions   # (1, C, H, W) px
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from flowdistill.errors import UserError
from flowdistill.export.network import MULTIPLE, Graph

LIMIT = 1e-3  # px
Run = Callable[[tuple[Tensor, ...]], Sequence[Tensor]]


@dataclass(frozen=True)
class Agreement:
    """Largest difference in px, and what it was measured on."""

    pixels: float
    largest_motion: float
    sizes: list[tuple[int, int]]
    inputs: int

    def __str__(self) -> str:
        sizes = " and ".join(f"{rows}x{columns}" for rows, columns in self.sizes)
        return (
            f"differs from the network by at most {self.pixels:.1e} px ({self.inputs} inputs at {sizes}, motions up "
            f"to {self.largest_motion:.2g} px)"
        )


class ExportDiffersError(UserError):
    """The exported graph does not compute what the network computes."""


def verified(run: Run, graph: Graph, size: tuple[int, int], dynamic: bool) -> Agreement:
    """Compare an exported file's results with the network's, for two inputs at each size.

    Args:
        run: executes the file: images -> motions in the order of `graph.outputs`.
        graph: the network, on the CPU.
        size: rows and columns; with `dynamic`, a second size is tried, too.

    Raises:
        ExportDiffersError: an output is missing, has another shape, is not finite, or differs by more than `LIMIT`.

    Examples:
        >>> import torch
        >>> from flowdistill.export.network import graph_of
        >>> from flowdistill.export.verify import verified
        >>> from flowdistill.networks import DDFlowNet
        >>> graph = graph_of(DDFlowNet(width=0.0625))
        >>> verified(lambda images: graph(*images), graph, (64, 128), dynamic=False).sizes
        [(64, 128)]
        >>> verified(lambda images: graph(*images)[::-1], graph, (64, 128), dynamic=False)  # both flows swapped
        Traceback (most recent call last):
        flowdistill.export.verify.ExportDiffersError: the exported graph is wrong: flow differs by ...
    """
    sizes = [size, (size[0] + MULTIPLE, size[1] + 2 * MULTIPLE)] if dynamic else [size]
    worst, largest = 0.0, 0.0
    for each in sizes:
        for seed in (1, 2):
            images = moving_images(len(graph.inputs), each, seed)
            with torch.inference_mode():
                expected = graph(*images)
                found = run(images)
            if len(found) != len(expected):
                raise ExportDiffersError(
                    f"the exported graph is wrong: it has {len(found)} outputs, not {len(expected)}"
                )
            for name, one, other in zip(graph.outputs, found, expected, strict=True):
                worst = max(worst, _difference(name, one, other, each))
                largest = max(largest, other.abs().max().item())
    return Agreement(worst, largest, sizes, 2)


def _difference(name: str, found: Tensor, expected: Tensor, size: tuple[int, int]) -> float:
    where = f"at {size[0]}x{size[1]}; no file is written. Please report this with the versions of torch and the runtime"
    if found.shape != expected.shape:
        raise ExportDiffersError(
            f"the exported graph is wrong: {name} has shape {tuple(found.shape)}, not {tuple(expected.shape)}, {where}"
        )
    difference = (found.cpu() - expected).abs().max().item()
    if not difference <= LIMIT:  # also NaN
        raise ExportDiffersError(
            f"the exported graph is wrong: {name} differs by {difference:.3g} px (limit {LIMIT} px), {where}"
        )
    return difference


def moving_images(count: int, size: tuple[int, int], seed: int) -> tuple[Tensor, ...]:
    """Return textured images (1, 3, *size) that move by some pixels from one to the next."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, size[0] // 8, size[1] // 8, generator=generator)
    fine = torch.rand(1, 3, size[0] // 2, size[1] // 2, generator=generator)
    image = sum(
        weight * F.interpolate(x, size, mode="bilinear") for weight, x in ((0.7, coarse), (0.3, fine))
    )
    assert isinstance(image, Tensor)
    shifts = [(0, 0), (0, -5 * seed), (seed, 3), (seed, 3 - 4 * seed)]  # rows, columns
    return tuple(image.roll(shift, (2, 3)).contiguous() for shift in (shifts if count == 4 else shifts[::2]))
