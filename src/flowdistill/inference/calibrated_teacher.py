"""A checkpoint with a calibration as a teacher for `labels make`: every motion comes with a probability."""

from __future__ import annotations

from typing import Any, cast

from flowdistill.data.sample import Sample
from flowdistill.inference.calibration import Calibration
from flowdistill.inference.evidence import REVERSED
from flowdistill.inference.predict import to_array
from flowdistill.inference.predictor import Predictor
from flowdistill.labels.estimate import Estimate, estimate
from flowdistill.training.base import MotionModule

THRESHOLD = 3  # px


class CalibratedTeacher:
    """Predicts flow in both directions and, if asked for, disparity of both pairs and at t1, with `probability`.

    The probability is that the error is under 3 px. Two passes for each direction with DDFlow, four with DWARF.

    Examples:
        >>> import torch
        >>> from flowdistill.inference.calibrated_teacher import CalibratedTeacher
        >>> from flowdistill.inference.calibration import FEATURES, Calibration
        >>> from flowdistill.training import DDFlowModule
        >>> model = DDFlowModule(losses={"census_no_occlusion": 1.0}, width=0.125).eval()
        >>> sure = Calibration({"flow": {3: [0.0] * FEATURES}}, weights_sha256="")
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 64, 96), "left_t1": torch.rand(3, 64, 96)}
        >>> found = CalibratedTeacher(model, sure, disparity=False)(sample)
        >>> list(found), found["flow"].probability.shape, found["flow"].probability.mean().item()
        (['flow', 'flow_backward'], (64, 96), 0.5)
    """

    def __init__(self, model: MotionModule, calibration: Calibration, disparity: bool) -> None:
        self.predictor, self.calibration, self.disparity = Predictor(model), calibration, disparity

    def __call__(self, sample: Sample) -> dict[str, Estimate]:
        tensors = cast(dict[str, Any], sample)
        device = self.predictor.model.device
        images = {name: tensors[name][None].to(device) for name in self.predictor.images}
        forward = self._estimates(images)
        backward = self._estimates({new: images[old] for new, old in REVERSED.items() if old in images})
        found = {"flow": forward["flow"], "flow_backward": backward["flow"]}
        if self.disparity:
            found |= {
                "disparity_t0": forward["disparity_t0"],
                "disparity_next": backward["disparity_t0"],
                "disparity_t1": forward["disparity_t1"],
            }
        return found

    def _estimates(self, images: dict[str, Any]) -> dict[str, Estimate]:
        motions, evidence = self.predictor.evidence(images)
        found = {}
        for name, each in evidence.items():
            probability = self.calibration.probability(name, each.float(), THRESHOLD)
            found[name] = estimate(to_array(motions[name][0]), probability=to_array(probability[0])[..., 0])
        return found
