"""All pictures of one sample: its frames, and the prediction, the ground truth and the error of each motion.

flow         # (H, W, 2) px        disparity_t0, disparity_t1   # (H, W, 1) px, positive
valid_*      # (H, W, 1) bool      occluded                     # (H, W, 1) bool or uint8
left_t0, ... # (H, W, 3) RGB in [0, 1]
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from flowdistill.visual.disparity_colours import disparity_to_colours
from flowdistill.visual.error_colours import error_to_colours
from flowdistill.visual.flow_colours import flow_to_colours

Array = npt.NDArray[np.generic]
Picture = npt.NDArray[np.uint8]

FRAMES = ("left_t0", "left_t1", "right_t0", "right_t1")
MOTIONS = ("flow", "disparity_t0", "disparity_t1")
MASKS = ("occluded",)


def sample_pictures(prediction: Mapping[str, Array], sample: Mapping[str, Array]) -> dict[str, Picture]:
    """Draw pictures (H, W, 3), uint8 RGB, by name: `left_t0`, `flow_predicted`, `flow_true`, `flow_error`, and so on.

    Prediction and truth share one scale, given by the truth's largest valid value, or without truth the prediction's.
    Unknown pixels of the truth are black in its picture and in that of the error. Masks are white where pixels are
    occluded; their truth is the sample's `occluded`, else the pixels in `valid_flow` but not in `valid_flow_noc`.

    Args:
        prediction: keys of the batch contract.
        sample: keys of the batch contract; labels may be missing.
    """
    pictures = {name: _frame(sample[name]) for name in FRAMES if name in sample}
    for name in MOTIONS:
        if name in prediction:
            pictures |= _motion(name, prediction[name], sample.get(name), sample.get(f"valid_{name}"))
    for name in MASKS:
        if name in prediction:
            pictures[f"{name}_predicted"] = _mask(prediction[name])
            true = _occluded(sample)
            if true is not None:
                pictures[f"{name}_true"] = _mask(true)
    return pictures


def _motion(name: str, found: Array, truth: Array | None, valid: Array | None) -> dict[str, Picture]:
    colours = flow_to_colours if name == "flow" else disparity_to_colours
    predicted = found.astype(np.float32)
    if truth is None:
        return {f"{name}_predicted": colours(predicted)}
    true = truth.astype(np.float32)
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(true).all(axis=2))
    if valid is not None:
        known &= valid[..., 0].astype(bool)
    size = np.linalg.norm(np.where(known[..., None], true, 0), axis=2)
    largest = float(size.max(initial=0)) or 1.0
    error = np.linalg.norm(predicted - np.where(known[..., None], true, 0), axis=2)
    return {
        f"{name}_predicted": colours(predicted, largest),
        f"{name}_true": colours(true, largest, known),
        f"{name}_error": error_to_colours(error, size, known),
    }


def _occluded(sample: Mapping[str, Array]) -> Array | None:
    if "occluded" in sample:
        return sample["occluded"]
    if "valid_flow" in sample and "valid_flow_noc" in sample:
        return sample["valid_flow"].astype(bool) & ~sample["valid_flow_noc"].astype(bool)
    return None


def _frame(image: Array) -> Picture:
    return (255 * np.clip(image.astype(np.float32), 0, 1)).round().astype(np.uint8)


def _mask(mask: Array) -> Picture:
    return np.repeat(mask.astype(bool).astype(np.uint8) * 255, 3, axis=2)
