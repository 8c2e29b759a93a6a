"""Census distance on a CPU against the formulation that it replaced: one loop over all 48 neighbours.

    python benchmarks/census.py [--repeats 9]

CPU time of one thread, so that other load on the machine has little effect; both run alternately, and each ratio is the
median over the turns of (old / ours), with the interquartile range.

    grey   # (B, 1, H, W) 0..255
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowkernels import census_distance

SHAPES = ((1, 1, 384, 1280), (4, 1, 320, 896))
GOALS = (3.5, 5.0)  # forward, forward and backward
RADIUS, SOFT, HALF = 3, 0.81, 0.1
WINDOW = range(2 * RADIUS + 1)
OFFSETS = [(i, j) for i in WINDOW for j in WINDOW if (i, j) != (RADIUS, RADIUS)]


class _Loop(torch.autograd.Function):
    """Formulation of 18dc29e: every neighbour of every pixel, the gradient of the second image."""

    @staticmethod
    def forward(ctx: Any, grey1: Tensor, grey2: Tensor) -> Tensor:
        ctx.save_for_backward(grey1, grey2)
        padded1, padded2 = (F.pad(grey, (RADIUS,) * 4) for grey in (grey1, grey2))
        distance = torch.zeros_like(grey1)
        for offset in OFFSETS:
            gap = _sign(_shifted(padded1, offset, grey1) - grey1)
            gap -= _sign(_shifted(padded2, offset, grey2) - grey2)
            squared = gap.square_()
            distance += squared / (squared + HALF)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        grey1, grey2 = ctx.saved_tensors
        padded1, padded2 = (F.pad(grey, (RADIUS,) * 4) for grey in (grey1, grey2))
        found = torch.zeros_like(padded2)
        for offset in OFFSETS:
            step = _shifted(padded2, offset, grey2) - grey2
            gap = _sign(_shifted(padded1, offset, grey1) - grey1) - _sign(step)
            outer = grad * gap * (2 * HALF) / (gap.square() + HALF).square_()
            inner = outer * -SOFT * (step.square() + SOFT).pow_(-1.5)
            _shifted(found, offset, grey2).add_(inner)
            _shifted(found, (RADIUS, RADIUS), grey2).sub_(inner)
        return None, _shifted(found, (RADIUS, RADIUS), grey2)


def _shifted(padded: Tensor, offset: tuple[int, int], like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    return padded[..., offset[0] : offset[0] + height, offset[1] : offset[1] + width]


def _sign(step: Tensor) -> Tensor:
    return step / torch.sqrt(step.square() + SOFT)


def _seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print(f"{processor()}, one thread, {repeats} turns")
    for shape in SHAPES:
        compare(shape, repeats)


def compare(shape: tuple[int, ...], repeats: int) -> None:
    """Print both ratios at one size."""
    grey1, grey2, grad = 255 * torch.rand(shape), 255 * torch.rand(shape), torch.randn(shape)
    leaf = grey2.clone().requires_grad_()

    def forward(run: Callable[..., Tensor]) -> None:
        with torch.no_grad():
            run(grey1, grey2)

    def both(run: Callable[..., Tensor]) -> None:
        torch.autograd.grad(run(grey1, leaf), leaf, grad)

    for name, task, goal in (("forward", forward, GOALS[0]), ("with backward", both, GOALS[1])):
        old, new = [], []
        for _ in range(repeats):
            old.append(_seconds(lambda task=task: task(_Loop.apply)))
            new.append(_seconds(lambda task=task: task(census_distance)))
        ratios = [x / y for x, y in zip(old, new, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(
            f"{shape} {name}: ours {1000 * statistics.median(new):.0f} ms, old / ours "
            f"{statistics.median(ratios):.2f} ({low:.2f}..{high:.2f}), goal {goal}"
        )
    difference = (_Loop.apply(grey1, grey2) - census_distance(grey1, grey2)).abs().max().item()
    print(f"{shape} largest difference {difference:.1e} of 48")


def processor() -> str:
    """Return the processor's name, as far as the system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
