"""Activation checkpointing: parts of a network are recomputed in backward instead of kept.

Source: Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost" (2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch.utils.checkpoint import checkpoint

Result = TypeVar("Result")


def called(function: Callable[..., Result], *inputs: Any, recompute: bool) -> Result:
    """Return `function(*inputs)`; with `recompute` and gradients enabled, backward calls it once more.

    Only the inputs and the result are kept then. Results and gradients are bit-identical either way, since the
    networks draw no random numbers (so there is no generator state to restore, either).

    Args:
        function: a module or a pure function of tensors, without random numbers.
        inputs: tensors of any shapes, or containers of them.
        recompute: whether to recompute the function in backward instead of keeping its activations.
    """
    if not (recompute and torch.is_grad_enabled()):
        return function(*inputs)
    result = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
    return cast(Result, result)
