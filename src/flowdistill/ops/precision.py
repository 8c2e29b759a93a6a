"""Float32 islands: operations that need full precision run in float32 under every precision of a Trainer.

Half precision has 8 (bfloat16) or 11 (float16) significant bits, so that neighbouring columns become indistinguishable
from 256 or 2,048 on. Labels, losses, coordinates, motions and sums of correlations are therefore float32; the other
convolutions may run in half precision. float32 and float64 tensors are not changed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
HALF = (torch.float16, torch.bfloat16)


def raised(tensor: Tensor) -> Tensor:
    """Convert a float16 or bfloat16 tensor to float32; return any other one unchanged.

    Examples:
        >>> import torch
        >>> from flowdistill.ops.precision import raised
        >>> raised(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
        >>> raised(torch.ones(1, dtype=torch.float64)).dtype
        torch.float64
    """
    return tensor.float() if tensor.dtype in HALF else tensor


def lowered(tensor: Tensor) -> Tensor:
    """Convert a float32 tensor to autocast's dtype if autocast is enabled; return any other one unchanged.

    Convolutions do this themselves; converting once avoids that a map read by many layers is cast by each of them.

    Examples:
        >>> import torch
        >>> from flowdistill.ops.precision import lowered
        >>> lowered(torch.ones(1)).dtype
        torch.float32
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     lowered(torch.ones(1)).dtype
        torch.bfloat16
    """
    device = tensor.device.type
    if tensor.dtype == torch.float32 and _autocast_is_on(device):
        return tensor.to(torch.get_autocast_dtype(device))
    return tensor


def float32_island(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorate a function to run without autocast, with float16 and bfloat16 arguments converted to float32.

    Only arguments that are tensors themselves are converted; a function must call `raised` on tensors inside other
    containers.

    Examples:
        >>> import torch
        >>> from flowdistill.ops.precision import float32_island
        >>> @float32_island
        ... def product(a, b):
        ...     return a @ b
        >>> a = torch.ones(2, 2, dtype=torch.bfloat16)
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     product(a, a).dtype
        torch.float32
    """

    @functools.wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        values = (*args, *kwargs.values())
        device = next((value.device.type for value in values if isinstance(value, Tensor)), "cpu")
        args = tuple(_raised_value(value) for value in args)  # type: ignore[assignment]
        kwargs = {name: _raised_value(value) for name, value in kwargs.items()}  # type: ignore[assignment]
        if not _autocast_is_on(device):
            return function(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return run


def _autocast_is_on(device: str) -> bool:
    # The meta device does not support autocast, and querying its state is an error.
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _raised_value(value: object) -> object:
    return raised(value) if isinstance(value, Tensor) else value
