"""Correlation on a CPU against the formulation it replaced and two peers: ratios of the time of one run.

    python benchmarks/correlation.py                      # forward, and forward with backward
    python benchmarks/correlation.py --repeats 15 --shapes 1,32,96,320

Time is the CPU time of one thread, so that other load on the machine has little effect; the formulations run
alternately, and each ratio is the median over the turns of (theirs / ours), with the interquartile range. Formulations:

    ours      flowkernels.correlation_2d
    loop      flowkernels at 18dc29e: one product and one sum per shift, written into slices
    plain     the definition: one product and one sum per shift, stacked
    sampled   as in ptlflow (ptlflow/utils/correlation.py): y sampled bilinearly at each shift, then product and sum
    c++       spatial-correlation-sampler 0.5.0, if it is installed
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowkernels import backend, correlation_2d
from flowkernels.definitions.correlation import Window, correlation

RADIUS = 4
SIDE = 2 * RADIUS + 1
# The two sizes with goals, and the networks' coarse levels, where a higher launch overhead would be visible.
SHAPES = "1,32,96,320 4,32,80,224 4,128,12,40 4,196,6,20"
GOALS = {(1, 32, 96, 320): (1.15, 1.4), (4, 32, 80, 224): (2.0, 1.7)}
INSTALL_PEER = (
    "c++ is skipped: it needs spatial-correlation-sampler 0.5.0 (in its source set CPU_ONLY = True in setup.py, "
    "remove the include of CUDAGuard.h in correlation_sampler.cpp, then pip install --no-build-isolation .)"
)

Formulation = Callable[[Tensor, Tensor], Tensor]


class _Loop(torch.autograd.Function):
    """Formulation of 18dc29e for radius 4 and the mean over channels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        height, width = x.shape[-2:]
        padded = F.pad(y, (RADIUS,) * 4)
        volume = x.new_empty(x.shape[0], SIDE**2, height, width)
        product = torch.empty_like(x)
        for k in range(SIDE**2):
            i, j = divmod(k, SIDE)
            torch.mul(x, padded[:, :, i : i + height, j : j + width], out=product)
            torch.sum(product, dim=1, out=volume[:, k])
        return volume.mul_(1 / x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_volume: Tensor) -> tuple[Tensor, Tensor]:
        x, y = ctx.saved_tensors
        height, width = x.shape[-2:]
        grad = grad_volume * (1 / x.shape[1])
        padded = F.pad(y, (RADIUS,) * 4)
        grad_x, grad_padded = torch.zeros_like(x), torch.zeros_like(padded)
        for k in range(SIDE**2):
            i, j = divmod(k, SIDE)
            grad_x.addcmul_(grad[:, k : k + 1], padded[:, :, i : i + height, j : j + width])
            grad_padded[:, :, i : i + height, j : j + width].addcmul_(grad[:, k : k + 1], x)
        return grad_x, grad_padded[:, :, RADIUS : RADIUS + height, RADIUS : RADIUS + width]


def loop(x: Tensor, y: Tensor) -> Tensor:
    volume: Tensor = _Loop.apply(x, y)
    return volume


def plain(x: Tensor, y: Tensor) -> Tensor:
    return correlation(x, y, Window(RADIUS, RADIUS), 1 / x.shape[1])


def sampled(x: Tensor, y: Tensor) -> Tensor:
    """Implementation from the description of ptlflow's correlation; zeros outside the image, as in ptlflow."""
    batch, _, height, width = x.shape
    rows, columns = torch.arange(height, dtype=x.dtype), torch.arange(width, dtype=x.dtype)
    slices = []
    for k in range(SIDE**2):
        i, j = divmod(k, SIDE)
        to_y = 2 * (rows + (i - RADIUS)) / (height - 1) - 1
        to_x = 2 * (columns + (j - RADIUS)) / (width - 1) - 1
        grid = torch.stack([to_x.expand(height, -1), to_y[:, None].expand(-1, width)], -1).expand(
            batch, -1, -1, -1
        )
        slices.append((x * F.grid_sample(y, grid, align_corners=True)).mean(1))
    return torch.stack(slices, 1)


def sampler() -> Formulation | None:
    """Return spatial-correlation-sampler, divided by the number of channels to give a mean; None if not installed."""
    try:
        from spatial_correlation_sampler import spatial_correlation_sample
    except ImportError:
        return None

    def run(x: Tensor, y: Tensor) -> Tensor:
        volume: Tensor = spatial_correlation_sample(x, y, kernel_size=1, patch_size=SIDE)
        return volume.flatten(1, 2) / x.shape[1]

    return run


def gradients(form: Formulation, x: Tensor, y: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(form(x, y), (x, y), grad)


def times(formulations: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return milliseconds of CPU time, each formulation once per turn; the first turn is a warm-up."""
    found: dict[str, list[float]] = {name: [] for name in formulations}
    for turn in range(repeats + 1):
        for name, run in formulations.items():
            start = time.process_time()
            run()
            if turn:
                found[name].append(1e3 * (time.process_time() - start))
    return found


def report(title: str, found: dict[str, list[float]], goal: float | None) -> None:
    print(title)
    for name, measured in found.items():
        ratios = [a / b for a, b in zip(measured, found["ours"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
        text = f"  {name:8s} {statistics.median(measured):8.1f} ms   {middle:6.2f} x ours ({low:.2f} to {high:.2f})"
        if name == "loop" and goal is not None:
            text += f"   goal {goal}: {'met' if middle >= goal else 'MISSED'}"
        print(text, flush=True)


def processor() -> str:
    """Return the processor's name as reported by Linux, otherwise by Python."""
    listed = Path("/proc/cpuinfo")
    names = (
        [line for line in listed.read_text().splitlines() if "model name" in line] if listed.exists() else []
    )
    return names[0].partition(":")[2].strip() if names else platform.processor() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--shapes", nargs="+", default=SHAPES.split(), help="B,C,H,W each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{processor()}, {torch.backends.cpu.get_cpu_capability()}, one thread, torch {torch.__version__}")
    print(
        f"ours: {backend('cpu')}; radius {RADIUS}, mean over channels, float32; median of {options.repeats} turns"
    )
    forms: dict[str, Formulation] = {
        "ours": lambda x, y: correlation_2d(x, y, RADIUS),
        "loop": loop,
        "plain": plain,
        "sampled": sampled,
    }
    peer = sampler()
    if peer is None:
        print(INSTALL_PEER)
    else:
        forms["c++"] = peer
    for text in options.shapes:
        shape = tuple(int(size) for size in text.split(","))
        x, y = torch.randn(shape), torch.randn(shape)
        grad = torch.randn(shape[0], SIDE**2, *shape[2:])
        expected = plain(x.double(), y.double())
        for name, form in forms.items():
            error = (form(x, y) - expected).abs().max().item()
            # Sampling loses a few digits in its coordinates.
            if error > (1e-2 if name == "sampled" else 1e-5):
                raise SystemExit(f"{name} does not compute the correlation: its error is {error:.1e}")
        goals = GOALS.get(shape, (None, None))
        forward = {name: partial(form, x, y) for name, form in forms.items()}
        with torch.no_grad():
            report(f"{shape} forward", times(forward, options.repeats), goals[0])
        x.requires_grad_()
        y.requires_grad_()
        both = {name: partial(gradients, form, x, y, grad) for name, form in forms.items()}
        report(f"{shape} forward and backward", times(both, options.repeats), goals[1])


if __name__ == "__main__":
    main()
