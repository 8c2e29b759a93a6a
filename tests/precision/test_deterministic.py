"""Nothing of ours adds in an order that differs from run to run on a GPU, and resizing has the gradients it should."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flowdistill.losses import dwarf_kitti_loss, dwarf_pretraining_loss, squared_weights
from flowdistill.networks import SceneMotion
from flowdistill.ops.resize import resize_flow, resize_legacy_bilinear

# PyTorch's list (torch.use_deterministic_algorithms), as the operators that a trace shows. Forward passes of these
# names are fine; convolutions have deterministic algorithms, which `Trainer(deterministic=True)` chooses.
UNSTEADY = re.compile(
    r"aten\.((upsample|reflection_pad|replication_pad|grid_sampler|adaptive_\w+|avg_pool3d|max_pool3d)\w*_backward"
    r"|scatter\w*|index_add\w*|index_put\w*|_index_put\w*|index_copy\w*|index_select_backward|put_?|bincount|histc"
    r"|max_unpool\w*|nll_loss\w*|embedding_dense_backward|cumsum|median|kthvalue|repeat_interleave\w*)\."
)


class Operators(TorchDispatchMode):
    """The names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))

    @property
    def unsteady(self) -> set[str]:
        return {name for name in self.names if UNSTEADY.match(name)}


def test_the_list_recognises_what_was_there_before() -> None:
    x = torch.rand(1, 2, 4, 5, requires_grad=True)
    with Operators() as found:
        padded = F.pad(x, (0, 1, 0, 1), mode="replicate")
        F.interpolate(padded, (8, 9), mode="bilinear", align_corners=True).sum().backward()
        x.gather(3, torch.zeros(1, 2, 4, 5, dtype=torch.int64)).sum().backward()
        x.index_select(3, torch.tensor([0, 0])).sum().backward()
    assert {name.split(".")[1].rstrip("_") for name in found.unsteady} == {
        "replication_pad2d_backward", "upsample_bilinear2d_backward", "scatter_add", "index_add",
    }  # fmt: skip


def test_resizing_and_dwarfs_losses_are_steady() -> None:
    torch.manual_seed(0)
    size = (64, 128)
    levels = {
        level: SceneMotion(
            *(torch.rand(1, c, size[0] >> level, size[1] >> level, requires_grad=True) for c in (2, 1, 1))
        )
        for level in (2, 3, 4, 5, 6)
    }
    truth = (torch.rand(1, 2, *size), torch.rand(1, 1, *size), torch.rand(1, 1, *size))
    valid = [torch.rand(1, 1, *size) > 0.5 for _ in range(3)]
    weight = torch.rand(5, requires_grad=True)
    with Operators() as found:
        loss = dwarf_kitti_loss(levels, *truth, *valid)["data_loss"] + squared_weights([weight])
        for policy in ("zero", "mask"):
            loss = loss + dwarf_pretraining_loss(levels, *truth, non_finite=policy)["data_loss"]  # type: ignore[arg-type]
        for level in (2, 3):
            loss = loss + resize_flow(levels[level].flow, (50, 77)).sum()
        loss.backward()
    assert "aten.upsample_bilinear2d.default" in found.names
    assert levels[2].flow.grad is not None
    assert not found.unsteady


def legacy(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The definition: source = index * in / out, neighbours clipped."""
    for axis, length in ((-2, size[0]), (-1, size[1])):
        last = image.shape[axis] - 1
        position = torch.arange(length, dtype=torch.float64) * image.shape[axis] / length
        low = position.floor().long().clamp(max=last)
        part = (position - low).clamp(max=1).view(-1, *[1] * (-1 - axis))
        upper = image.index_select(axis, (low + 1).clamp(max=last))
        image = image.index_select(axis, low) * (1 - part) + upper * part
    return image


def aligned(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize("source", [(1, 1), (1, 6), (5, 7), (13, 29), (20, 40)])
@pytest.mark.parametrize("target", [(1, 1), (3, 2), (5, 28), (80, 160), (97, 211)])
def test_the_gradient_of_resizing_is_its_transpose(source: tuple[int, int], target: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 2, *source, dtype=torch.float64, generator=generator)
    grad = torch.rand(2, 2, *target, dtype=torch.float64, generator=generator)
    factors = torch.tensor([target[1] / source[1], target[0] / source[0]], dtype=torch.float64).view(2, 1, 1)
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
