"""The batch contract: the keys, shapes and units that every dataset returns and every model accepts.

Shapes below are those of a batch; a sample has no leading B. All keys are optional except the left images,
`name` and `size`. Flow is in pixels, x then y, from t0 to t1 (`_backward`: from t1 to t0). Disparities are in
pixels, positive, both on the grid of `left_t0`: `disparity_t1` is the disparity at time t1 of the point seen
there. `valid_*` is KITTI's *occ* set (every pixel with ground truth), `valid_*_noc` its non-occluded subset.

A motion (flow or disparity) is finite everywhere, and 0 where its file has no value; its `valid_*` is false
there. Backward and teacher flows have no such mask: where they are unknown, `occluded_backward`,
`teacher_occluded` and `teacher_occluded_backward` are true.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, cast

import torch
from torch import Tensor

from flowdistill.errors import UserError

IMAGES = ("left_t0", "right_t0", "left_t1", "right_t1")
FLOWS = ("flow", "flow_backward", "teacher_flow", "teacher_flow_backward")
DISPARITIES = ("disparity_t0", "disparity_t1")
VALID_MASKS = tuple(f"valid_{motion}{noc}" for motion in ("flow", *DISPARITIES) for noc in ("", "_noc"))
OCCLUSIONS = ("occluded", "occluded_backward", "teacher_occluded", "teacher_occluded_backward")
OCCLUSION_OF = dict(zip(FLOWS[1:], OCCLUSIONS[1:], strict=True))
"""The flows without a valid mask -> the mask that marks their unknown pixels as occluded."""
PIXEL_MAPS = (*IMAGES, *FLOWS, *DISPARITIES, *VALID_MASKS, *OCCLUSIONS, "foreground")
"""Every key that is defined on the pixel grid, so that geometric transforms apply to it."""


class _Tensors(TypedDict, total=False):
    left_t0: Tensor  # (B, 3, H, W) float32 RGB in [0, 1]
    right_t0: Tensor
    left_t1: Tensor
    right_t1: Tensor
    flow: Tensor  # (B, 2, H, W) float32 px
    flow_backward: Tensor
    disparity_t0: Tensor  # (B, 1, H, W) float32 px, positive
    disparity_t1: Tensor
    valid_flow: Tensor  # (B, 1, H, W) bool
    valid_flow_noc: Tensor
    valid_disparity_t0: Tensor
    valid_disparity_t0_noc: Tensor
    valid_disparity_t1: Tensor
    valid_disparity_t1_noc: Tensor
    occluded: Tensor  # (B, 1, H, W) bool, of the flow
    occluded_backward: Tensor
    foreground: Tensor  # (B, 1, H, W) bool, KITTI's object map
    teacher_flow: Tensor  # (B, 2, H, W) float32 px, from an offline teacher
    teacher_flow_backward: Tensor
    teacher_occluded: Tensor  # (B, 1, H, W) bool
    teacher_occluded_backward: Tensor
    intrinsics: Tensor  # (B, 3, 3) float32 px
    baseline: Tensor  # (B,) float32 m
    size: Tensor  # (B, 2) int64: height and width before padding


class Sample(_Tensors, total=False):
    """One sample: the tensors of the contract without the batch axis.

    Examples:
        >>> import torch
        >>> from flowdistill.data import Sample
        >>> sample: Sample = {
        ...     "name": "000000_10",
        ...     "left_t0": torch.rand(3, 64, 96),  # RGB in [0, 1]
        ...     "left_t1": torch.rand(3, 64, 96),
        ...     "flow": torch.zeros(2, 64, 96),  # px, x then y
        ...     "valid_flow": torch.ones(1, 64, 96, dtype=torch.bool),
        ...     "size": torch.tensor([64, 96]),
        ... }
        >>> sorted(sample)
        ['flow', 'left_t0', 'left_t1', 'name', 'size', 'valid_flow']
    """

    name: str


class Batch(_Tensors, total=False):
    """A batch: tensors as in the module docstring, and one name per sample.

    Examples:
        >>> import torch
        >>> from flowdistill.data import Batch
        >>> batch: Batch = {
        ...     "name": ["000000_10", "000001_10"],
        ...     "left_t0": torch.rand(2, 3, 64, 96),
        ...     "left_t1": torch.rand(2, 3, 64, 96),
        ...     "size": torch.tensor([[64, 96], [64, 96]]),
        ... }
        >>> dict(zip(batch["name"], batch["size"].tolist()))
        {'000000_10': [64, 96], '000001_10': [64, 96]}
    """

    name: list[str]


def image_size(sample: Sample) -> tuple[int, int]:
    """Return the current (height, width) of the images, px.

    Examples:
        >>> import torch
        >>> from flowdistill.data.sample import image_size
        >>> image_size({"left_t0": torch.rand(3, 375, 1242)})
        (375, 1242)
    """
    height, width = sample["left_t0"].shape[-2:]
    return height, width


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch.

    Raises:
        UserError: if the samples differ in image size or keys.

    Examples:
        >>> import torch
        >>> from flowdistill.data import collate
        >>> samples = [{"name": f"00000{k}_10", "left_t0": torch.rand(3, 64, 96)} for k in range(2)]
        >>> batch = collate(samples)
        >>> batch["name"], batch["left_t0"].shape
        (['000000_10', '000001_10'], torch.Size([2, 3, 64, 96]))
    """
    first = samples[0]
    for other in samples[1:]:
        if image_size(other) != image_size(first):
            raise UserError(
                f"One batch has images of different sizes: {_named_size(first)} and {_named_size(other)}.\n"
                "Set a crop for this view (for example crop: [320, 896]), or --data.init_args.batch_size 1."
            )
        if different := sorted(first.keys() ^ other.keys()):
            raise UserError(
                f"Samples {first['name']} and {other['name']} of one batch do not have the same keys: "
                f"only one has {', '.join(different)}."
            )
    batch: dict[str, Any] = {}
    for key in first:
        values = [cast(dict[str, Any], sample)[key] for sample in samples]
        batch[key] = torch.stack(values) if isinstance(values[0], Tensor) else values
    return cast(Batch, batch)


def _named_size(sample: Sample) -> str:
    height, width = image_size(sample)
    return f"{sample['name']} is {height}x{width}"
