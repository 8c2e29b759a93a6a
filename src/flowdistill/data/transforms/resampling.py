"""Resizing of a whole sample.

Convention: pixels are areas, so that position x of the old grid is ``(x + 1/2) * factor - 1/2`` on the new one
(integer = centre of a pixel), with factor = new length / old length, exactly. Displacements are multiplied by the
factor, independent of the convention; the principal point moves like any other position.
"""

from typing import Any, Literal, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flowdistill.data.sample import DISPARITIES, FLOWS, IMAGES, PIXEL_MAPS, Sample, image_size
from flowdistill.data.transforms.maps import move_camera
from flowdistill.data.transforms.released_zoom import enlarging_taps, mix
from flowdistill.data.transforms.visibility import hide_what_leaves

Size = tuple[int, int]  # rows, columns
Labels = Literal["nearest", "released"]


def resample(
    sample: Sample,
    size: Size,
    corner: Size = (0, 0),
    window: Size | None = None,
    labels: Labels = "nearest",
) -> Sample:
    """Resize a sample to `size` (height, width) and crop a window from the result.

    Images are interpolated linearly, with an antialiasing filter as wide as a new pixel when downscaling. Labels and
    masks use the nearest pixel: no value is a mean of two labels, and none comes from an invalid pixel. x of flows and
    disparities are multiplied by new width / old width, y of flows by new height / old height. The sample's `size`
    becomes that of the window; pixels whose match leaves it are occluded.

    Args:
        corner: row and column, in the resized sample, of the window's first pixel.
        window: height and width of the window; by default the whole resized sample.
        labels: `released` averages valid and invalid pixels of motions (`released_zoom.py`); only for enlarging.

    Examples:
        >>> import torch
        >>> from flowdistill.data.transforms import resample
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 4, 6), "flow": torch.ones(2, 4, 6)}
        >>> larger = resample(sample, (8, 18))  # twice as high, three times as wide
        >>> larger["left_t0"].shape, larger["flow"].mean(dim=(1, 2))
        (torch.Size([3, 8, 18]), tensor([3., 2.]))
    """
    height, width = image_size(sample)
    window = size if window is None else window
    rows = _nearest(corner[0], window[0], height, size[0])
    columns = _nearest(corner[1], window[1], width, size[1])
    on_x, on_y = size[1] / width, size[0] / height
    out: dict[str, Any] = dict(sample)
    mixed: dict[str, Tensor] = {}
    if labels == "released":
        taps = [enlarging_taps(corner[i], window[i], (height, width)[i], size[i]) for i in (0, 1)]
        for key in [key for key in (*FLOWS, *DISPARITIES) if f"valid_{key}" in out]:
            mixed[key], mixed[f"valid_{key}"] = mix(out[key], out[f"valid_{key}"], *taps)
    for key, value in out.items():
        if key in IMAGES:
            out[key] = resize_image(value, size, corner, window)
        elif key in PIXEL_MAPS:
            out[key] = mixed[key] if key in mixed else _take(value, rows, columns)
        if key in FLOWS:
            out[key] = out[key] * torch.tensor([on_x, on_y], dtype=value.dtype).view(2, 1, 1)
        elif key in DISPARITIES:
            out[key] = out[key] * on_x
    move_camera(
        out,
        scale=(on_x, on_y),
        offset=((on_x - 1) / 2 - corner[1], (on_y - 1) / 2 - corner[0]),
    )
    out["size"] = torch.tensor(window, dtype=torch.int64)
    return hide_what_leaves(cast(Sample, out))


def resize_image(image: Tensor, size: Size, corner: Size = (0, 0), window: Size | None = None) -> Tensor:
    """Resize (C, H, W) float32 to a window of (C, *size) in the module's convention; arguments as in `resample`."""
    height, width = image.shape[-2:]
    window = size if window is None else window
    rows, columns = (slice(first, first + count) for first, count in zip(corner, window, strict=True))
    if size[0] < height or size[1] < width:
        # A triangle filter two new pixels wide, along the downscaled axes.
        resized = F.interpolate(image[None], size, mode="bilinear", align_corners=False, antialias=True)[0]
        return resized[:, rows, columns]
    # Also linear, but several times as fast.
    planes = [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in image.numpy()]
    return torch.from_numpy(np.stack([plane[rows, columns] for plane in planes]))


def _nearest(first: int, count: int, old: int, new: int) -> NDArray[np.int64]:
    """Old index that contains the centre of each new pixel first, ..., first + count - 1; exact, in integers."""
    centres = 2 * np.arange(first, first + count, dtype=np.int64) + 1  # in halves of a new pixel
    return centres * old // (2 * new)


def _take(value: Tensor, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(value.numpy().take(rows, -2).take(columns, -1))
