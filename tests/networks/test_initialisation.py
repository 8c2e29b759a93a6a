"""Weight initialisation: the encoder is a linear image pyramid, and a level's motion is the coarser one's."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flowdistill.data.kitti import KittiDataset
from flowdistill.data.splits import SplitEntry
from flowdistill.networks import DDFlowNet, Dwarf
from flowdistill.networks.initialisation import octave_noise, start_as_residual, start_encoder_linear
from flowkernels import correlation_1d


def encoder_of(width: float, seed: int = 0) -> Dwarf:
    torch.manual_seed(seed)
    network = Dwarf(width)
    start_encoder_linear(network.encoder)
    return network


def rendered_images(root: Path) -> Tensor:
    dataset = KittiDataset(root, [SplitEntry(f"{i:06d}_00") for i in range(3)], "scene_flow", labels=False)
    return torch.stack([sample["left_t0"] for sample in map(dataset.__getitem__, range(3))])


@pytest.mark.parametrize("width", [0.25, 0.5, 1.0])
@pytest.mark.parametrize(("model", "slope"), [(Dwarf, 0.1), (DDFlowNet, 0.2)])
def test_encoder_starts_linear(model: type[Dwarf] | type[DDFlowNet], slope: float, width: float) -> None:
    """z = (first half of the channels - second half) / (1 + slope) is linear in changes of the image."""
    torch.manual_seed(0)
    network = model(width)
    encoder = network.encoder if isinstance(network, Dwarf) else network.extractor
    start_encoder_linear(encoder)

    def linear(image: Tensor) -> list[Tensor]:
        features = encoder(image)
        pairs = [f.shape[1] // 2 for f in features]
        return [(f[:, :n] - f[:, n : 2 * n]) / (1 + slope) for f, n in zip(features, pairs, strict=True)]

    image, first, second = torch.randn(3, 1, 3, 128, 128)
    with torch.no_grad():
        base = linear(image)
        levels = zip(
            base,
            linear(image + first),
            linear(image + second),
            linear(image + first - 2 * second),
            strict=True,
        )
        for level, (start, a, b, both) in enumerate(levels, start=1):
            assert (both - start).abs().max() > 0.1, level
            torch.testing.assert_close(both - start, (a - start) - 2 * (b - start), rtol=1e-3, atol=1e-4)


def test_grey_images_start_with_no_features() -> None:
    network = encoder_of(1.0)
    with torch.no_grad():
        for level, features in enumerate(network.encoder(torch.full((1, 3, 192, 192), 0.5))[:3], start=1):
            border = 16 // 2**level + 2  # zero padding is not grey
            assert features[..., border:-border, border:-border].abs().max() < 1e-5


@pytest.mark.parametrize("width", [0.25, 1.0])
def test_every_level_starts_with_features_of_one_size(rendered: Path, width: float) -> None:
    """Also on images not used for the scaling: within a factor of 2.5 on rendered ones, unlike with Xavier."""
    images = rendered_images(rendered)
    torch.manual_seed(0)
    published, started = Dwarf(width), encoder_of(width)
    with torch.no_grad():
        lost = [level.square().mean().sqrt().item() for level in published.encoder(images)]
        kept = [level.square().mean().sqrt().item() for level in started.encoder(images)]
    assert lost[5] < 0.1 * lost[0]
    assert all(0.4 < size < 2.5 for size in kept), kept


@pytest.mark.parametrize("seed", range(3))
def test_the_first_volume_tells_a_shift(rendered: Path, seed: int) -> None:
    """Images 6 px apart, 1.5 pixels at level 2: the highest correlation lies at 1 or 2 of 9 displacements."""
    images = F.interpolate(rendered_images(rendered), scale_factor=2, mode="bilinear", align_corners=False)
    left, right = images[..., : 192 - 6], images[..., 6:192]

    def volume(network: Dwarf) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            one, other = network.encoder(left)[1], network.encoder(right)[1]
        return correlation_1d(one, other), one

    correlations, features = volume(encoder_of(0.25, seed))
    best = F.avg_pool2d(correlations, 5, 1, 2, count_include_pad=False).argmax(dim=1)[..., 6:-6]
    assert ((best == 4 - 1) | (best == 4 - 2)).float().mean() > 0.85
    # Its size at the estimator's input, relative to the features: with Xavier it is negligible.
    assert spread(correlations) > 0.2 * features.std()
    torch.manual_seed(seed)
    correlations, features = volume(Dwarf(0.25))
    assert spread(correlations) < 0.02 * features.std()


def spread(correlations: Tensor) -> Tensor:
    """Deviation over the displacements, (B, 9, h, w) -> ()."""
    return correlations.std(dim=1).mean()


def test_the_noise_that_sets_sizes_is_always_the_same() -> None:
    torch.manual_seed(1)
    first = octave_noise(2, 32, 64)
    torch.manual_seed(2)
    assert torch.equal(first, octave_noise(2, 32, 64))
    assert first.mean().item() == pytest.approx(0.5, abs=1e-4)
    assert first.std().item() == pytest.approx(0.2, rel=1e-3)


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
