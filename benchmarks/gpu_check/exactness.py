"""Compare every operator with float64, and the bits of repeated runs."""

from __future__ import annotations

import torch
from operators import Operator, Shape
from torch import Tensor

# Largest difference from float64, relative to the largest value: sums of up to a few thousand terms, then rounding.
LIMITS = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


def gradients(
    operator: Operator, inputs: tuple[Tensor, ...], weight: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Return the output, and the gradients of the sum of weight times output."""
    leaves = [x.detach().requires_grad_(k not in operator.constants) for k, x in enumerate(inputs)]
    out = operator.run(*leaves)
    weight = torch.ones_like(out) if weight is None else weight.to(out)
    found = torch.autograd.grad((out * weight).sum(), [x for x in leaves if x.requires_grad])
    return (out.detach(), *found)


def draw(
    operator: Operator, shape: Shape, dtype: torch.dtype, device: str, seed: int = 0
) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(x.to(device, dtype) for x in operator.inputs(shape, generator))


def weight_for(out: Tensor) -> Tensor:
    return torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.device)


def errors(operator: Operator, shape: Shape, dtype: torch.dtype, device: str) -> list[float]:
    """Return the errors of the output and of each gradient, relative to the largest value."""
    inputs = draw(operator, shape, dtype, device)
    exact = tuple(x.double() for x in inputs)
    with torch.no_grad():
        weight = weight_for(operator.run(*exact)).to(dtype)
    found, expected = gradients(operator, inputs, weight), gradients(operator, exact, weight.double())
    return [
        ((a.double() - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()
        for a, b in zip(found, expected, strict=True)
    ]


def repeats(operator: Operator, shape: Shape, dtype: torch.dtype, device: str, runs: int) -> bool:
    """Whether output and gradients have the same bits in all runs."""
    inputs = draw(operator, shape, dtype, device)
    with torch.no_grad():
        weight = weight_for(operator.run(*inputs))
    first = gradients(operator, inputs, weight)
    return all(
        all(torch.equal(a, b) for a, b in zip(first, gradients(operator, inputs, weight), strict=True))
        for _ in range(runs - 1)
    )
