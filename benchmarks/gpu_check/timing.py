"""Times on a GPU, measured with CUDA events, and the copy bandwidth in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from exactness import draw, weight_for
from operators import Operator, Shape
from torch import Tensor


def median_seconds(run: Callable[[], object], device: str, repeats: int = 30) -> float:
    """Return the median time of a call after three warm-up calls."""
    for _ in range(3):
        run()
    if device == "cpu":
        return statistics.median(_wall(run) for _ in range(min(repeats, 3)))
    times = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        # Hides the launch: otherwise the events would measure the host.
        torch.cuda._sleep(200_000)
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1000)
    return statistics.median(times)


def _wall(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def copy_bandwidth(device: str) -> float:
    """Return the bytes read and written per second by a large copy."""
    source = torch.empty(2**28 if device == "cuda" else 2**22, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / median_seconds(lambda: target.copy_(source), device)


def times(operator: Operator, shape: Shape, dtype: torch.dtype, device: str) -> tuple[float, float]:
    """Return the seconds of the forward pass, and of the backward pass only."""
    inputs = draw(operator, shape, dtype, device)
    with torch.no_grad():
        forward = median_seconds(lambda: operator.run(*inputs), device)
    leaves = [x.requires_grad_(k not in operator.constants) for k, x in enumerate(inputs)]
    needed = [x for x in leaves if x.requires_grad]
    out = operator.run(*leaves)
    grad = weight_for(out).to(out)
    backward = median_seconds(lambda: torch.autograd.grad(out, needed, grad, retain_graph=True), device)
    return forward, backward


def loop_over_shifts(x: Tensor, y: Tensor, radius: int = 4) -> Tensor:
    """Correlate in plain PyTorch: one product and one mean per shift."""
    size = 2 * radius + 1
    height, width = x.shape[-2:]
    padded = torch.nn.functional.pad(y, (radius,) * 4)
    shifted = (padded[:, :, i : i + height, j : j + width] for i in range(size) for j in range(size))
    return torch.stack([(x * each).mean(1) for each in shifted], 1)


def peer() -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return the correlation of `localcorr` (pip install localcorr); None if it is not installed."""
    try:
        from localcorr import get_localcorr_sampler
    except ImportError:
        return None
    sampler = get_localcorr_sampler(patch_size=9, corr_mode="localcorr_triton")
    return lambda x, y: sampler(x, y)
