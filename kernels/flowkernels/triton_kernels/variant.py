"""Kernel variants, which `make kernels` compiles ahead of time, without a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Variant:
    """A kernel with the types and constants that its launch function passes.

    Args:
        name: unique, for example "correlation_forward/fp32/radius4/W4".
        kernel: the `triton.jit` function.
        signature: argument -> Triton type ("*fp32", "i32", ...), without constants.
        constants: the `tl.constexpr` arguments.
        divisible_by_16: arguments whose values are always divisible by 16 (usually pointers).
        num_warps, num_stages: launch options.
        max_registers: per thread; more is a failure.
        vector_loads: whether loads of float32 maps must be 128-bit.
    """

    name: str
    kernel: Any
    signature: Mapping[str, str]
    constants: Mapping[str, Any]
    divisible_by_16: tuple[str, ...] = ()
    num_warps: int = 4
    num_stages: int = 2
    max_registers: int = 192
    vector_loads: bool = False
