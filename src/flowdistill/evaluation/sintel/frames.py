"""`flowdistill evaluate sintel`: folders of .flo -> the end-point errors of Sintel's table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce
from operator import add

from flowdistill.evaluation.sintel.files import SintelFiles
from flowdistill.evaluation.sintel.frame import FrameErrors, evaluate_frame
from flowdistill.in_order import in_order


def evaluate_frames(files: SintelFiles, workers: int = 1) -> dict[str, FrameErrors]:
    """Errors by frame, in the order of their names, whatever the number of worker processes.

    Raises UserError (FormatError included) for the first frame in that order with a file that cannot be used, or for
    fewer than one worker.
    """
    errors = in_order(partial(evaluate_frame, files), files.frames, workers, "frame", "evaluate")
    return dict(zip(files.frames, errors, strict=True))


def pool(frames: Iterable[FrameErrors]) -> FrameErrors:
    """The sums over frames: every pixel weighs the same, in whichever frame it lies."""
    parts = list(frames)
    return {
        name: {region: reduce(add, [part[name][region] for part in parts]) for region in found}
        for name, found in parts[0].items()
    }


def by_scene(frames: dict[str, FrameErrors]) -> dict[str, FrameErrors]:
    """The sums over the frames of each scene."""
    scenes: dict[str, list[FrameErrors]] = {}
    for frame, errors in frames.items():
        scenes.setdefault(frame.partition("/")[0], []).append(errors)
    return {scene: pool(parts) for scene, parts in scenes.items()}
