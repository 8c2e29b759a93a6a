"""The gathered gradients of resizing against autograd of the definitions in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flowdistill.ops.resize import resize_flow, resize_legacy_bilinear


def legacy(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The definition: source = index * in / out, neighbours clipped."""
    for axis, length in ((-2, size[0]), (-1, size[1])):
        last = image.shape[axis] - 1
        position = torch.arange(length, dtype=torch.float64, device=image.device) * image.shape[axis] / length
        low = position.floor().long().clamp(max=last)
        part = (position - low).clamp(max=1).view(-1, *[1] * (-1 - axis))
        upper = image.index_select(axis, (low + 1).clamp(max=last))
        image = image.index_select(axis, low) * (1 - part) + upper * part
    return image


def aligned(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize("source", [(1, 1), (1, 6), (5, 7), (13, 29), (20, 40)])
@pytest.mark.parametrize("target", [(1, 1), (3, 2), (5, 28), (80, 160), (97, 211)])
def test_the_gradient_of_resizing_is_its_transpose(
    source: tuple[int, int], target: tuple[int, int], device: torch.device
) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 2, *source, dtype=torch.float64, generator=generator).to(device)
    grad = torch.rand(2, 2, *target, dtype=torch.float64, generator=generator).to(device)
    factors = torch.tensor([target[1] / source[1], target[0] / source[0]], dtype=torch.float64)
    factors = factors.view(2, 1, 1).to(device)
    for ours, theirs in (
        (resize_legacy_bilinear, legacy),
        (resize_flow, lambda x, size: aligned(x, size) * factors),
    ):
        exact, narrow = image.clone().requires_grad_(), image.float().requires_grad_()
        expected = torch.autograd.grad(theirs(exact, target), exact, grad)[0]
        out = ours(exact, target)
        torch.testing.assert_close(out, theirs(exact, target), rtol=1e-12, atol=1e-12)
        found = torch.autograd.grad(out, exact, grad)[0]
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        out32 = ours(narrow, target)
        found32 = torch.autograd.grad(out32, narrow, grad.float())[0]
        assert found32.dtype == torch.float32
        torch.testing.assert_close(
            found32.double(), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )
