"""Random motion of the t1 images relative to t0, which enlarges the flow.

Points y of `left_t1` move to A(y) = L y + t, so that the flow becomes ``A(x + flow) - x``. The image at t0, its
labels and the disparities are unchanged.
"""

import math
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flowdistill.data.sample import OCCLUSION_OF, Sample, image_size
from flowdistill.data.transforms.maps import ON_T1, is_stereo, with_masks
from flowdistill.data.transforms.visibility import hide_what_leaves
from flowdistill.errors import UserError
from flowdistill.ops.padding import reflect_pad

Matrix = NDArray[np.float64]


class RelativeMotion:
    """Rotate and shift `left_t1` randomly; for stereo samples, shift both t1 images by the same whole pixels.

    Args:
        rotation: largest angle about the image centre in either direction, degrees. It must be 0 for stereo: rotated
            images are not a rectified pair. Raises UserError for such a sample.
        shift: largest shift along x and along y in either direction, px.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import RelativeMotion
        >>> still = torch.rand(3, 16, 16)
        >>> sample = {"name": "a", "left_t0": still, "left_t1": still, "flow": torch.zeros(2, 16, 16)}
        >>> moved = RelativeMotion(rotation=0.0, shift=3.0)(sample, np.random.default_rng(0))
        >>> (0 < moved["flow"].abs().max() <= 3).item()  # px
        True
    """

    def __init__(self, rotation: float, shift: float) -> None:
        self.rotation = rotation
        self.shift = shift

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        angle = math.radians(rng.uniform(-self.rotation, self.rotation))
        if not is_stereo(sample):
            return move_t1(sample, turn(image_size(sample), angle, rng.uniform(-self.shift, self.shift, 2)))
        if self.rotation > 0:
            raise UserError(
                f"Sample {sample['name']} is a stereo pair: after a relative rotation its images would no longer be "
                "rectified. Set relative_rotation: 0 for the scene_flow view."
            )
        whole = int(self.shift)
        return move_t1(sample, turn(image_size(sample), 0.0, rng.integers(-whole, whole + 1, 2)))


def turn(size: tuple[int, int], angle: float, shift: NDArray[Any]) -> Matrix:
    """Return the (2, 3) matrix [L | t]: rotate by `angle` (radians, from x to y) about the image centre, then shift."""
    centre = np.array([size[1] - 1, size[0] - 1]) / 2
    linear = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([linear, centre - linear @ centre + shift])


def move_t1(sample: Sample, matrix: Matrix) -> Sample:
    """Move everything at t1 by an affine map A of pixel positions.

    Images are interpolated bicubically, so that t1 stays nearly as sharp as t0 (shifts by whole pixels are exact), and
    extended by reflection. Pixels whose match is now outside are occluded; those whose match was outside stay occluded.
    Flows that start at t1 are taken from the nearest old pixel; where there is none they are 0 and occluded (a missing
    mask is added). No single intrinsic matrix describes both times any more, so `intrinsics` and `baseline` are
    removed.

    Args:
        matrix: (2, 3), [L | t], x before y; L must be invertible.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import move_t1
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 4, 6), "flow": torch.zeros(2, 4, 6)}
        >>> moved = move_t1(sample, np.array([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]))  # 2 px right, 1 px up
        >>> moved["flow"].mean(dim=(1, 2))
        tensor([ 2., -1.])
    """
    out = with_masks(sample)
    for key in ("intrinsics", "baseline"):
        out.pop(key, None)
    linear, offset = matrix[:, :2], matrix[:, 2]
    inverse = np.linalg.inv(linear)
    back = np.column_stack([inverse, -inverse @ offset])
    origin = _positions(image_size(sample), back)  # (2, H, W) old position of each new pixel of t1

    for key in ("left_t1", "right_t1"):
        if key in out:
            out[key] = _move_picture(out[key], matrix, origin)
    for flow, valid in (("flow", "valid_flow"), ("teacher_flow", None)):
        if flow in out:
            # A(x + flow) - x, without subtracting two large numbers.
            moved = _positions(image_size(sample), matrix, less_pixel=True) + _turned(linear, out[flow])
            out[flow] = moved if valid is None else torch.where(out[valid], moved, out[flow])
    nearest, known = _nearest(origin)
    for key in ON_T1:
        if key in out:
            out[key] = out[key].flatten(1)[:, nearest].view(out[key].shape)
    for flow in ("flow_backward", "teacher_flow_backward"):
        if flow in out:
            occluded = OCCLUSION_OF[flow]
            there = _positions(image_size(sample), back, less_pixel=True) + out[flow]
            out[flow] = torch.where(known, there, torch.zeros(()))
            out[occluded] = out[occluded] | ~known
    return hide_what_leaves(cast(Sample, out))


def _positions(size: tuple[int, int], matrix: Matrix, less_pixel: bool = False) -> Tensor:
    """Return the mapped pixel positions (2, H, W), or their difference to the pixel positions."""
    y = torch.arange(size[0], dtype=torch.float32)[:, None]
    x = torch.arange(size[1], dtype=torch.float32)
    factors = matrix - np.eye(2, 3) if less_pixel else matrix
    return torch.stack([float(a) * x + float(b) * y + float(c) for a, b, c in factors])


def _turned(linear: Matrix, flow: Tensor) -> Tensor:
    return torch.einsum("ij,jhw->ihw", torch.from_numpy(linear).to(flow.dtype), flow)


def _move_picture(image: Tensor, matrix: Matrix, origin: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    shift = matrix[:, 2]
    if np.array_equal(matrix[:, :2], np.eye(2)) and np.array_equal(shift, np.round(shift)):
        right, down = int(shift[0]), int(shift[1])
        padded = reflect_pad(image, (max(down, 0), max(-down, 0)), (max(right, 0), max(-right, 0)))
        return padded[..., max(-down, 0) :, max(-right, 0) :][..., :height, :width]
    size = torch.tensor([width - 1, height - 1], dtype=torch.float32).view(2, 1, 1)
    grid = (2 * origin / size - 1).permute(1, 2, 0)
    moved = F.grid_sample(image[None], grid[None], "bicubic", "reflection", align_corners=True)[0]
    return moved.clamp(0, 1)


def _nearest(origin: Tensor) -> tuple[Tensor, Tensor]:
    """Return the flat index (H*W,) of the old pixel nearest to each position (2, H, W), and bool (1, H, W): inside."""
    height, width = origin.shape[-2:]
    x, y = origin.round()
    known = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    return index.long().flatten(), known[None]
