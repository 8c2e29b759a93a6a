"""Tiny numbers on a CPU: as zeros, for commands that predict.

Weight decay lets unused weights of a trained network shrink towards 1e-38, and below it a processor computes many times
as slowly: of the DWARF of `make demo-long`, 15 % of the weights are below 1e-20, and it took 1.6 times as long as with
random weights (benchmarks/inference.py --checkpoint). Motions do not change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let this thread, and those that it starts meanwhile, treat numbers below the normal range as 0.

    For commands, before any computation: PyTorch's threads inherit the setting from the thread that starts them. The
    calling thread computes as by default afterwards.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
