"""The CPU's formulation for inference: the motions of the published order of operations, and only where it is meant."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

import reference
from flowdistill.networks import Dwarf, cpu_inference
from flowdistill.networks.dwarf import DwarfOutput

IMAGES = ("left_t0", "right_t0", "left_t1", "right_t1")


@pytest.fixture
def wide_convolutions() -> Iterator[mock.Mock]:
    """Count the calls of the formulation: two per level above the finest, one there."""
    with mock.patch.object(
        cpu_inference, "shared_convolutions", wraps=cpu_inference.shared_convolutions
    ) as spy:
        yield spy


def level_two(output: DwarfOutput) -> Tensor:
    motion = output.levels[2]
    return torch.cat([motion.flow, motion.disparity_t0, motion.disparity_t1], dim=1)


def images(batch: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(4, batch, 3, 64, 128, generator=torch.Generator().manual_seed(3)).to(dtype)


@pytest.mark.parametrize("width", [1.0, 0.125])
@pytest.mark.parametrize("batch", [1, 2])
def test_motions_equal_those_in_float64(wide_convolutions: mock.Mock, width: float, batch: int) -> None:
    """Float64 takes the published order; the float32 results of both are equally close to it."""
    network = Dwarf(width).eval()
    if width == 1.0:
        reference.fill(network, "dwarf")
    with torch.inference_mode():
        found = level_two(network(*images(batch)))
        assert wide_convolutions.call_count == 9
        exact = level_two(network.double()(*images(batch, torch.float64)))
    assert wide_convolutions.call_count == 9
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    assert ((found - exact).abs().max() / exact.abs().max()).item() < 1e-5


def test_all_levels_equal_the_originals(wide_convolutions: mock.Mock) -> None:
    network = Dwarf()
    reference.fill(network, "dwarf")
    file = "dwarf_forward_b2_128x192"
    with torch.no_grad():
        output = network.train()(*(reference.tensor(file, key) for key in IMAGES))
    assert wide_convolutions.call_count == 9
    for level, motion in output.levels.items():
        assert (
            reference.relative_error(
                motion.flow / 20, reference.tensor(file, f"level{level}_forward_flow")
            ) < 1e-5
        )  # fmt: skip


def test_gradients_autocast_and_hooks_take_the_published_order(wide_convolutions: mock.Mock) -> None:
    network = Dwarf(0.125).eval()
    network(*images())
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        network(*images())
    seen: list[tuple[int, ...]] = []
    predict = network.estimators["2"].branches["flow"].predict
    assert isinstance(predict, nn.Module)
    handle = predict.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    with torch.inference_mode():
        network(*images())
    assert seen == [(1, 2, 16, 32)]
    assert wide_convolutions.call_count == 8  # the four levels without a hook
    handle.remove()


def test_a_network_whose_weights_change_is_evaluated_with_the_new_ones() -> None:
    network = Dwarf(0.125).eval()
    with torch.inference_mode():
        before = level_two(network(*images()))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1)
    with torch.inference_mode():
        after = level_two(network(*images()))
        exact = level_two(network.double()(*images(dtype=torch.float64)))
    assert not torch.allclose(before, after)
    assert ((after - exact).abs().max() / exact.abs().max()).item() < 1e-5


@pytest.mark.parametrize("transposed", [False, True])
def test_shares_add_up_to_the_convolution_of_the_concatenation(transposed: bool) -> None:
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    settings = {"kernel_size": 4, "stride": 2} if transposed else {"kernel_size": 3}
    layers = [
        kind(channels, outputs, padding=1, **settings).double() for channels, outputs in ((7, 3), (9, 2))
    ]
    shared = torch.rand(2, 5, 6, 8, dtype=torch.float64)
    own = [torch.rand(2, channels, 6, 8, dtype=torch.float64) for channels in (2, 4)]
    shares = cpu_inference.shared_convolutions(shared, layers)
    for layer, share, part in zip(layers, shares, own, strict=True):
        expected = layer(torch.cat([shared, part], dim=1))
        torch.testing.assert_close(share + cpu_inference.own_convolution(layer, part), expected)
