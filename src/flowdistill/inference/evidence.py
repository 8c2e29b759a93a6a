"""Evidence on the error of a predicted motion, per pixel, from the images and further passes of the network.

    images     # (B, 3, H, W) RGB in [0, 1]
    motions    # (B, C, H, W) px
    evidence   # (B, 4, H, W): consistency px, photometric 0..48, spread px, outside 0 or 1

* consistency: the motion against the one back (flow: forward-backward; disparity at t0: left-right; disparity at t1:
  that of the time-reversed input, along the flow, plus the flow's own gap);
* photometric: census distance between the image and the other one sampled along the motion;
* spread: half the distance between the motion and that of the upside-down images;
* outside: the motion leads out of the other image, so that the first two say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from flowdistill.losses import census_distance
from flowkernels import warp_replicate

Images = Mapping[str, Tensor]
Motions = dict[str, Tensor]
CUES = ("consistency", "photometric", "spread")
REVERSED = {"left_t0": "left_t1", "right_t0": "right_t1", "left_t1": "left_t0", "right_t1": "right_t0"}
_MIRRORED = {"left_t0": "right_t0", "right_t0": "left_t0", "left_t1": "right_t1", "right_t1": "left_t1"}


def gather_evidence(
    predict: Callable[[Images], Motions], images: Images, motions: Motions
) -> dict[str, Tensor]:
    """Return the evidence on each motion but the backward flow.

    Args:
        predict: the network: two more passes for DWARF, one for DDFlow.
        images: as given to it.
        motions: its result for them, with `flow_backward`; for DWARF also `disparity_next`, the disparity at t1 on the
            grid of left_t1.

    Examples:
        >>> import torch
        >>> from flowdistill.inference.evidence import gather_evidence
        >>> image = torch.rand(1, 3, 16, 24)
        >>> still = {"flow": torch.zeros(1, 2, 16, 24), "flow_backward": torch.zeros(1, 2, 16, 24)}
        >>> found = gather_evidence(lambda images: still, {"left_t0": image, "left_t1": image}, still)
        >>> found["flow"].shape, found["flow"].max().item()
        (torch.Size([1, 4, 16, 24]), 0.0)
    """
    upside_down = predict({name: image.flip(-2) for name, image in images.items()})
    flow = motions["flow"]
    other_flow = upside_down["flow"].flip(-2) * flow.new_tensor([1.0, -1.0]).view(1, 2, 1, 1)
    return_gap = _length(flow + warp_replicate(motions["flow_backward"], flow))
    left = images["left_t0"]
    found = {"flow": _stack(flow, left, images["left_t1"], return_gap, _length(flow - other_flow) / 2)}
    if "disparity_t0" not in motions:
        return found
    mirrored = predict({new: images[old].flip(-1) for new, old in _MIRRORED.items()})
    d0, d1 = motions["disparity_t0"], motions["disparity_t1"]
    to_right = _leftwards(d0)
    back = warp_replicate(mirrored["disparity_t0"].flip(-1), to_right)
    along = warp_replicate(motions["disparity_next"], flow)
    spreads = {
        name: (motions[name] - upside_down[name].flip(-2)).abs() / 2
        for name in ("disparity_t0", "disparity_t1")
    }
    found["disparity_t0"] = _stack(
        to_right, left, images["right_t0"], (d0 - back).abs(), spreads["disparity_t0"]
    )
    # The disparity at t1 is looked up along the flow, so that it inherits the flow's doubts.
    gap_t1 = (d1 - along).abs() + return_gap
    found["disparity_t1"] = _stack(
        flow + _leftwards(d1), left, images["right_t1"], gap_t1, spreads["disparity_t1"]
    )
    return found


def _stack(motion: Tensor, source: Tensor, target: Tensor, gap: Tensor, spread: Tensor) -> Tensor:
    height, width = motion.shape[-2:]
    x = motion[:, :1] + torch.arange(width, device=motion.device)
    y = motion[:, 1:] + torch.arange(height, device=motion.device).view(-1, 1)
    outside = ((x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)).to(motion.dtype)
    photometric = census_distance(source, warp_replicate(target, motion))
    return torch.cat([gap, photometric, spread, outside], dim=1)


def _length(motion: Tensor) -> Tensor:
    return motion.square().sum(dim=1, keepdim=True).sqrt()


def _leftwards(disparity: Tensor) -> Tensor:
    """Return the motion (B, 2, H, W) from the left image to the right one."""
    return torch.cat([-disparity, torch.zeros_like(disparity)], dim=1)
