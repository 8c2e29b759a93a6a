"""DWARF's residual start: signals keep their size, and a level's motion is the coarser one's."""

import pytest
import torch
import torch.nn.functional as F

from flowdistill.networks import Dwarf
from flowdistill.networks.initialisation import start_as_residual


@pytest.mark.parametrize("width", [0.25, 1.0])
def test_levels_start_by_passing_the_coarser_motion_on(width: float) -> None:
    torch.manual_seed(0)
    network = Dwarf(width)
    start_as_residual(network)
    # A known motion at level 6, far above the small random parts.
    with torch.no_grad():
        for name, values in {"flow": (0.5, -0.25), "disparity_t0": (-0.7,), "disparity_t1": (-0.4,)}.items():
            network.estimators["6"].branches[name].predict.bias.copy_(torch.tensor(values))
        images = [torch.rand(1, 3, 128, 192) for _ in range(4)]
        levels = network(*images).levels
    for level in (5, 4, 3):
        coarse, fine = levels[level + 1].flow, levels[level].flow
        expected = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        inner = (..., slice(2, -2), slice(2, -2))  # the transposed convolution pads with zeros
        if expected[inner].numel():
            assert (fine - expected)[inner].abs().mean() < 0.25 * expected[inner].abs().mean()
    assert levels[2].flow[:, 0, 8:-8, 8:-8].mean().item() == pytest.approx(10.0, abs=2.5)
    assert levels[2].disparity_t0[..., 8:-8, 8:-8].mean().item() == pytest.approx(14.0, abs=3.0)


def test_features_keep_their_size_through_the_encoder() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 128, 192)
    published, started = Dwarf(), Dwarf()
    start_as_residual(started)
    with torch.no_grad():
        shrinking = [level.square().mean().sqrt().item() for level in published.encoder(image)]
        kept = [level.square().mean().sqrt().item() for level in started.encoder(image)]
    assert shrinking[5] < 0.02 * shrinking[0]
    assert kept[5] > 0.2 * kept[0]
