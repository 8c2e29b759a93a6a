"""Reflect padding against numpy's, and the crop that undoes it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowdistill.ops.padding import crop_to, pad_to_multiple, reflect_indices, reflect_pad


@given(length=st.integers(1, 12), before=st.integers(0, 60), after=st.integers(0, 60))
def test_reflect_indices_are_numpys(length: int, before: int, after: int, device: torch.device) -> None:
    expected = np.pad(np.arange(length), (before, after), mode="reflect")
    found = reflect_indices(length, before, after, device)
    np.testing.assert_array_equal(found.cpu().numpy(), expected)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    multiple=st.sampled_from([1, 8, 64]),
    channels=st.integers(1, 3),
)
def test_pads_like_numpy_and_crops_back(
    size: tuple[int, int], multiple: int, channels: int, device: torch.device, dtype: torch.dtype
) -> None:
    images = torch.rand(2, channels, *size, device=device, dtype=dtype)
    padded, (top, left) = pad_to_multiple(images, multiple)
    height, width = padded.shape[-2:]
    assert height % multiple == width % multiple == 0
    assert 0 <= height - size[0] < multiple
    assert 0 <= width - size[1] < multiple
    bottom, right = height - size[0] - top, width - size[1] - left
    assert 0 <= bottom - top <= 1
    assert 0 <= right - left <= 1
    expected = np.pad(images.cpu().numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)), mode="reflect")
    np.testing.assert_array_equal(padded.cpu().numpy(), expected)
    assert torch.equal(crop_to(padded, size), images)


def test_kitti_size_is_padded_as_dwarfs_reference_crops() -> None:
    padded, offset = pad_to_multiple(torch.zeros(1, 3, 375, 1242))
    assert padded.shape == (1, 3, 384, 1280)
    assert offset == ((384 - 375) // 2, (1280 - 1242) // 2)


def test_gradient_reaches_the_images(device: torch.device) -> None:
    image = torch.rand(1, 1, 5, 6, device=device, dtype=torch.float64, requires_grad=True)
    # A GPU adds the gradient of a repeated pixel in any order.
    assert torch.autograd.gradcheck(lambda x: reflect_pad(x, (7, 2), (0, 9)), image, nondet_tol=1e-12)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot crop 4x6 to 5x6"):
        crop_to(torch.zeros(1, 4, 6), (5, 6))
    with pytest.raises(ValueError, match="multiple must be positive"):
        pad_to_multiple(torch.zeros(1, 3, 4, 4), 0)
    with pytest.raises(ValueError, match="by -1 before"):
        reflect_indices(4, -1, 0)
