"""Centred reflect padding, and the crop that undoes it.

DWARF's network needs heights and widths that are multiples of 64. Its released test code pads by reflection,
the smaller half before, and crops rows from (Hp-h)//2 and columns from (Wp-w)//2 of the result, as these two
functions do.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def reflect_indices(length: int, before: int, after: int, device: torch.device | None = None) -> Tensor:
    """Return the source index of each position of an axis padded by reflection without repeating the border.

    Convention: `numpy.pad(mode="reflect")`; any amount of padding is allowed, by repeated reflection.

    Returns:
        int64 ``(before + length + after,)``.

    Raises:
        ValueError: `length` is not positive, or a padding is negative.

    Examples:
        >>> from flowdistill.ops.padding import reflect_indices
        >>> reflect_indices(4, before=2, after=3)
        tensor([2, 1, 0, 1, 2, 3, 2, 1, 0])
    """
    if length < 1 or before < 0 or after < 0:
        raise ValueError(f"cannot pad an axis of {length} by {before} before and {after} after")
    positions = torch.arange(-before, length + after, device=device)
    if length == 1:
        return torch.zeros_like(positions)
    period = 2 * (length - 1)
    folded = positions.remainder(period)
    return torch.minimum(folded, period - folded)


def reflect_pad(images: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Pad ``(..., H, W)`` by reflection: `rows` is (top, bottom), `columns` is (left, right), in pixels.

    Examples:
        >>> import torch
        >>> from flowdistill.ops.padding import reflect_pad
        >>> reflect_pad(torch.tensor([[[1.0, 2.0, 3.0]]]), rows=(0, 1), columns=(1, 0))
        tensor([[[2., 1., 2., 3.],
                 [2., 1., 2., 3.]]])
    """
    height, width = images.shape[-2:]
    if images.dim() in (3, 4) and max(rows) < height and max(columns) < width:
        # For a single reflection, torch is thirty times as fast.
        return F.pad(images, (*columns, *rows), mode="reflect")
    if any(rows):
        images = images.index_select(-2, reflect_indices(height, *rows, device=images.device))
    if any(columns):
        images = images.index_select(-1, reflect_indices(width, *columns, device=images.device))
    return images


def centred_padding(
    size: tuple[int, int], target: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the ((top, bottom), (left, right)) that bring `size` (H, W) to at least `target`, smaller half before.

    Examples:
        >>> from flowdistill.ops.padding import centred_padding
        >>> centred_padding((375, 1242), (384, 1280))
        ((4, 5), (19, 19))
    """
    missing_rows = max(target[0] - size[0], 0)
    missing_columns = max(target[1] - size[1], 0)
    top, left = missing_rows // 2, missing_columns // 2
    return (top, missing_rows - top), (left, missing_columns - left)


def pad_to_multiple(images: Tensor, multiple: int = 64) -> tuple[Tensor, tuple[int, int]]:
    """Reflect-pad to the next multiple, centred.

    Args:
        images: ``(B, 3, H, W)``; any leading axes work.
        multiple: of both the height and the width, in pixels.

    Returns:
        The padded images ``(B, 3, Hp, Wp)`` and (top, left), the position of the original's first pixel in
        them: ``top = (Hp - H) // 2``, ``left = (Wp - W) // 2``.

    Raises:
        ValueError: `multiple` is not positive.

    Examples:
        >>> import torch
        >>> from flowdistill.ops.padding import pad_to_multiple
        >>> padded, corner = pad_to_multiple(torch.rand(1, 3, 375, 1242))  # a KITTI frame
        >>> padded.shape, corner
        (torch.Size([1, 3, 384, 1280]), (4, 19))
    """
    if multiple < 1:
        raise ValueError(f"multiple must be positive, got {multiple}")
    height, width = images.shape[-2:]
    target = (-(-height // multiple) * multiple, -(-width // multiple) * multiple)
    rows, columns = centred_padding((height, width), target)
    return reflect_pad(images, rows, columns), (rows[0], columns[0])


def crop_to(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the centred ``(..., h, w)`` part of ``(..., Hp, Wp)``: the inverse of `pad_to_multiple`.

    Rows start at ``(Hp - h) // 2``, columns at ``(Wp - w) // 2``.

    Raises:
        ValueError: `size` is larger than the maps.

    Examples:
        >>> import torch
        >>> from flowdistill.ops.padding import crop_to, pad_to_multiple
        >>> image = torch.rand(1, 3, 50, 100)
        >>> padded, _ = pad_to_multiple(image)
        >>> torch.equal(crop_to(padded, (50, 100)), image)
        True
    """
    (padded_height, padded_width), (height, width) = maps.shape[-2:], size
    if not (0 < height <= padded_height and 0 < width <= padded_width):
        raise ValueError(f"cannot crop {padded_height}x{padded_width} to {height}x{width} (height x width)")
    top, left = (padded_height - height) // 2, (padded_width - width) // 2
    return maps[..., top : top + height, left : left + width]
