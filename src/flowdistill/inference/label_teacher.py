"""A flowdistill checkpoint as a teacher for `labels make`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from flowdistill.data.sample import IMAGES, Sample
from flowdistill.errors import UserError
from flowdistill.inference.calibrated_teacher import CalibratedTeacher
from flowdistill.inference.load import load_model
from flowdistill.inference.predict import predict_sample
from flowdistill.inference.predictor import find_calibration
from flowdistill.labels.config import CheckpointPart
from flowdistill.labels.estimate import Estimate, Teacher, estimate
from flowdistill.training.base import MotionModule

Arrays = dict[str, npt.NDArray[Any]]

# New key -> key of the original pair, for images in another order.
_BACK_IN_TIME = {
    "left_t0": "left_t1", "right_t0": "right_t1", "left_t1": "left_t0", "right_t1": "right_t0",
}  # fmt: skip
_SWAPPED_CAMERAS = {
    "left_t0": "right_t0", "right_t0": "left_t0", "left_t1": "right_t1", "right_t1": "left_t1",
}  # fmt: skip
_AS_STORED = {key: key for key in IMAGES}


def open_checkpoint(part: CheckpointPart, flow: bool, disparity: bool) -> Teacher:
    """Open a checkpoint as a teacher for flow, disparity or both.

    Raises:
        UserError: it is not a flowdistill checkpoint, the device is missing, or it does not predict disparity.
    """
    model = load_model(Path(part.path), "teachers.*.checkpoint.path", part.device)
    if disparity and model.view == "flow":
        raise UserError(
            f"{part.path} is a DDFlow checkpoint, which gives no disparity. List another teacher for it under motions."
        )
    if part.calibration is not None:
        option = "teachers.*.checkpoint.calibration"
        calibration = find_calibration(Path(part.path), part.calibration, model, option)
        assert calibration is not None
        return CalibratedTeacher(model, calibration, disparity)
    return NetworkTeacher(model, part.flips, disparity)


class NetworkTeacher:
    """Predicts a sample unchanged, time-reversed and, for disparity of the right images, mirrored.

    Time-reversed input gives the backward flow and stereo of the second pair. A mirrored pair with its cameras swapped
    is a stereo pair again; its disparity belongs to the right image. With `flips` each prediction is the mean of two,
    the second from upside-down images, and `spread` is half their distance.

    Examples:
        >>> import torch
        >>> from flowdistill.inference.label_teacher import NetworkTeacher
        >>> from flowdistill.training import DDFlowModule
        >>> model = DDFlowModule(losses={"census_no_occlusion": 1.0}, width=0.125).eval()
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 64, 96), "left_t1": torch.rand(3, 64, 96)}
        >>> sample["size"] = torch.tensor([64, 96])
        >>> found = NetworkTeacher(model, flips=True, disparity=False)(sample)
        >>> list(found), found["flow"].values.shape, found["flow"].spread.shape
        (['flow', 'flow_backward'], (64, 96, 2), (64, 96))
    """

    def __init__(self, model: MotionModule, flips: bool, disparity: bool) -> None:
        self.model, self.flips, self.disparity = model, flips, disparity

    def __call__(self, sample: Sample) -> dict[str, Estimate]:
        forward = self._predict(sample)
        if "disparity_t0" not in forward and "flow_backward" in forward:
            return {key: forward[key] for key in ("flow", "flow_backward")}
        backward = self._predict(_changed(sample, _BACK_IN_TIME))
        found = {"flow": forward["flow"], "flow_backward": backward["flow"]}
        if self.disparity:
            found |= {
                "disparity_t0": forward["disparity_t0"],
                "disparity_next": backward["disparity_t0"],
                "disparity_t1": forward["disparity_t1"],
            }
            mirrored = _changed(sample, _SWAPPED_CAMERAS, flip=-1)
            right, right_next = self._predict(mirrored), self._predict(_changed(mirrored, _BACK_IN_TIME))
            found["disparity_right_t0"] = _unmirrored(right["disparity_t0"])
            found["disparity_right_next"] = _unmirrored(right_next["disparity_t0"])
        return found

    def _predict(self, sample: Sample) -> dict[str, Estimate]:
        first = _motions(predict_sample(self.model, sample))
        if not self.flips:
            return {key: estimate(value) for key, value in first.items()}
        second = _motions(predict_sample(self.model, _changed(sample, _AS_STORED, flip=-2)))
        found = {}
        for key, value in first.items():
            other = second[key][::-1].copy()
            if value.shape[2] == 2:
                other[..., 1] *= -1
            spread = np.linalg.norm(value - other, axis=2) / 2
            found[key] = estimate((value + other) / 2, spread=spread.astype(np.float32))
        return found


def _motions(prediction: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    return {key: value for key, value in prediction.items() if value.dtype != np.bool_}


def _changed(sample: Sample, source: Mapping[str, str], flip: int | None = None) -> Sample:
    """Return the images of a sample, taken from its keys `source` and flipped along an axis; drops its labels."""
    old = cast(dict[str, Any], sample)
    images = {key: old[before] for key, before in source.items() if before in old}
    if flip is not None:
        images = {key: image.flip(flip) for key, image in images.items()}
    return cast(Sample, {"name": old["name"], "size": old["size"], **images})


def _unmirrored(found: Estimate) -> Estimate:
    """Mirror the disparity of a mirrored image back to the original grid."""
    spread = None if found.spread is None else found.spread[:, ::-1].copy()
    return Estimate(found.values[:, ::-1].copy(), found.known[:, ::-1].copy(), spread)
