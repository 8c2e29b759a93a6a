"""Occlusion masks for pixels whose match a transform moves out of the image."""

from typing import Any, cast

import torch
from torch import Tensor

from flowdistill.data.sample import Sample, image_size


def hide_what_leaves(sample: Sample) -> Sample:
    """Mark pixels whose match lies beyond the outermost pixel centres of the other image.

    `occluded` and `occluded_backward` become true there and `valid_*_noc` false, where the sample has them and the
    motion is valid. No mask is added: a match inside the image is not necessarily visible. `valid_*` are unchanged
    because the ground truth still holds, and so are teacher_*: they mark where the teacher, which used the full images,
    is reliable (the distillation of DDFlow, AAAI 2019, learns exactly there).

    Examples:
        >>> import torch
        >>> from flowdistill.data.transforms import hide_what_leaves
        >>> flow = torch.tensor([2.0, 0.0]).view(2, 1, 1).expand(2, 1, 4)  # 2 px to the right
        >>> occluded = torch.zeros(1, 1, 4, dtype=torch.bool)
        >>> hide_what_leaves({"left_t0": torch.rand(3, 1, 4), "flow": flow, "occluded": occluded})["occluded"]
        tensor([[[False, False,  True,  True]]])
    """
    return hide(sample, {"left_t0": _beyond, "left_t1": _beyond, "right_t0": _beyond, "right_t1": _beyond})


def hide(sample: Sample, hidden_in: dict[str, Any]) -> Sample:
    """Mark pixels whose match is hidden in another image.

    Args:
        hidden_in: image key -> function of positions x, y (1, H, W) in that image and its size (height, width) that
            returns bool (1, H, W): hidden there. NaN positions must return False. Missing keys hide nothing.
    """
    out = cast(dict[str, Any], dict(sample))
    size = image_size(sample)
    rows, columns = (torch.arange(length, dtype=torch.float32) for length in size)
    y, x = rows[None, :, None], columns[None, None, :]

    def hidden(image: str, to: tuple[Tensor, Tensor], *motions: str) -> Tensor:
        """Whether `to` is hidden in an image and the motions that lead there are valid."""
        judge = hidden_in.get(image)
        found: Tensor = (
            torch.zeros((1, *size), dtype=torch.bool) if judge is None else judge(to[0], to[1], size)
        )
        for motion in motions:
            if f"valid_{motion}" in out:
                found = found & out[f"valid_{motion}"]
        return found

    if "flow" in out:
        to = (x + out["flow"][:1], y + out["flow"][1:])
        gone = hidden("left_t1", to, "flow")
        if "occluded" in out:
            out["occluded"] = out["occluded"] | gone
        if "valid_flow_noc" in out:
            out["valid_flow_noc"] = out["valid_flow_noc"] & ~gone
        if "disparity_t1" in out and "valid_disparity_t1_noc" in out:
            right = (to[0] - out["disparity_t1"], to[1])
            gone = gone | hidden("right_t1", right, "flow", "disparity_t1")
            out["valid_disparity_t1_noc"] = out["valid_disparity_t1_noc"] & ~gone
    if "disparity_t0" in out and "valid_disparity_t0_noc" in out:
        gone = hidden("right_t0", (x - out["disparity_t0"], y), "disparity_t0")
        out["valid_disparity_t0_noc"] = out["valid_disparity_t0_noc"] & ~gone
    if "flow_backward" in out and "occluded_backward" in out:
        back = out["flow_backward"]
        out["occluded_backward"] = out["occluded_backward"] | hidden("left_t0", (x + back[:1], y + back[1:]))
    return cast(Sample, out)


def _beyond(x: Tensor, y: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    # These comparisons are False for NaN, i.e. for an unknown motion.
    return (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
