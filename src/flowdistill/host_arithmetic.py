"""Tiny numbers on a CPU: as zeros, for commands that predict.

Weight decay lets unused weights of a trained network shrink towards 1e-38, and below it a processor computes many times
as slowly: of the DWARF of `make demo-long`, 15 % of the weights are below 1e-20, and it took 1.6 times as long as with
random weights (benchmarks/inference.py --checkpoint). Motions do not change.
"""

from __future__ import annotations


def flush_denormals() -> bool:
    """Let this process treat numbers below the normal range as 0. For commands, before any computation.

    Threads inherit the setting from the one that starts them, so it must be made before PyTorch starts its own.

    Returns:
        whether the processor can.
    """
    import torch

    return bool(torch.set_flush_denormal(True))
