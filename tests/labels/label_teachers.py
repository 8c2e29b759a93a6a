"""Teachers with exactly known predictions, from the renderer."""

from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch

from flowdistill.data.sample import Sample
from flowdistill.labels.estimate import Estimate, estimate
from flowdistill.render import render_scene

SIZE = (96, 160)


@lru_cache(maxsize=4)
def frames(scene: int = 2, seed: int = 7) -> tuple[Any, Any]:
    first, second = list(render_scene(seed, scene, 3, SIZE))[:2]
    return first, second


def sample(scene: int = 2) -> Sample:
    frame = frames(scene)[0]
    images = {
        key: torch.from_numpy(np.ascontiguousarray(getattr(frame, key).transpose(2, 0, 1))).float() / 255
        for key in ("left_t0", "right_t0", "left_t1", "right_t1")
    }
    return cast(Sample, {**images, "name": "000002_00", "size": torch.tensor(SIZE)})


def truth(scene: int = 2) -> dict[str, Estimate]:
    """Exact flow, backward flow and stereo of both pairs."""
    first, second = frames(scene)
    return {
        "flow": estimate(first.flow),
        "flow_backward": estimate(first.flow_backward),
        "disparity_t0": estimate(first.disparity_t0),
        "disparity_next": estimate(second.disparity_t0),
    }


class Says:
    """A teacher with constant predictions."""

    def __init__(self, **estimates: Estimate) -> None:
        self.estimates = estimates

    def __call__(self, sample: Sample) -> dict[str, Estimate]:
        return dict(self.estimates)
