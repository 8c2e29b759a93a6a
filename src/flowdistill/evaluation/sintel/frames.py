"""`flowdistill evaluate sintel`: score folders of .flo files with the end-point errors of Sintel's table.

Sums are integer multiples of a step, so that sums over frames and processes do not depend on their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flowdistill.evaluation.kitti.counts import vector_length
from flowdistill.evaluation.sintel.files import FLOW, INVALID, OCCLUSIONS, SintelFiles, prediction_path
from flowdistill.evaluation.sintel.regions import Mask, regions
from flowdistill.evaluation.sizes import Sizes, check_size
from flowdistill.formats import FormatError, read_flo, read_mask
from flowdistill.formats.motion import UNKNOWN, known
from flowdistill.in_order import in_order
from flowdistill.metrics.rules import SUM_STEP

_LOW_BITS = 26


@dataclass(frozen=True)
class RegionError:
    """Sum of end-point errors over some pixels."""

    steps: int  # of SUM_STEP px
    pixels: int

    def __add__(self, other: RegionError) -> RegionError:
        return RegionError(self.steps + other.steps, self.pixels + other.pixels)

    @property
    def mean(self) -> float | None:
        """px; None without pixels."""
        return self.steps * SUM_STEP / self.pixels if self.pixels else None


FrameErrors = dict[str, dict[str, RegionError]]  # pass -> region


def evaluate_frames(files: SintelFiles, workers: int = 1) -> dict[str, FrameErrors]:
    """Return errors by frame, ordered by name for any number of worker processes.

    Raises UserError (including FormatError) for the first frame in that order with an unusable file, or for fewer than
    one worker.
    """
    errors = in_order(partial(evaluate_frame, files), files.frames, workers, "frame", "evaluate")
    return dict(zip(files.frames, errors, strict=True))


def pool(frames: Iterable[FrameErrors]) -> FrameErrors:
    """Sum over frames: every pixel of every frame has the same weight."""
    parts = list(frames)
    return {
        name: {region: reduce(add, [part[name][region] for part in parts]) for region in found}
        for name, found in parts[0].items()
    }


def by_scene(frames: dict[str, FrameErrors]) -> dict[str, FrameErrors]:
    """Sum over the frames of each scene."""
    scenes: dict[str, list[FrameErrors]] = {}
    for frame, errors in frames.items():
        scenes.setdefault(frame.partition("/")[0], []).append(errors)
    return {scene: pool(parts) for scene, parts in scenes.items()}


def evaluate_frame(files: SintelFiles, frame: str) -> FrameErrors:
    """Return the errors of one frame, by pass and region.

    Raises:
        FormatError: a file is damaged or of the wrong kind, or a prediction has values that are not valid flow.
        UserError: a file differs in size from the frame's true flow.
    """
    path = files.ground_truth / FLOW / f"{frame}.flo"
    truth = read_flo(path)
    valid = known(truth)
    sizes: Sizes = {path: valid.shape}
    if INVALID in files.masks:
        valid &= ~_read_mask(files, INVALID, frame, sizes)
    occluded = _read_mask(files, OCCLUSIONS, frame, sizes) if OCCLUSIONS in files.masks else None
    truth[~valid] = 0  # may be infinite, and is not used below
    parts = regions(valid, occluded, vector_length(truth))
    errors: FrameErrors = {}
    for name, folder in files.predictions.items():
        prediction = _read_prediction(prediction_path(folder, frame), sizes)
        steps = np.rint(vector_length(prediction - truth) * np.float32(1 / SUM_STEP)).astype(np.int64)
        errors[name] = {region: sum_over(steps, mask) for region, mask in parts.items()}
    return errors


def sum_over(steps: npt.NDArray[np.int64], mask: Mask) -> RegionError:
    """Sum over the pixels of a mask (H, W), exact for every possible error of `known` flows."""
    chosen = steps[mask]
    # An error of 2^31 px has 2^51 steps: 4,096 of them overflow 63 bits, their halves do not.
    high, low = chosen >> _LOW_BITS, chosen & ((1 << _LOW_BITS) - 1)
    return RegionError((int(high.sum()) << _LOW_BITS) + int(low.sum()), chosen.size)


def _read_prediction(path: Path, sizes: Sizes) -> npt.NDArray[np.float32]:
    flow = read_flo(path)
    check_size(sizes, path, flow.shape[:2])
    unknown = int(np.count_nonzero(~known(flow)))
    if unknown:
        raise FormatError(
            f"{path}: expected flow at every pixel, found {unknown} pixels that are not finite or over {UNKNOWN:.0e} px"
        )
    return flow


def _read_mask(files: SintelFiles, folder: str, frame: str, sizes: Sizes) -> Mask:
    path = files.ground_truth / folder / f"{frame}.png"
    mask = read_mask(path)
    check_size(sizes, path, mask.shape)
    return mask
