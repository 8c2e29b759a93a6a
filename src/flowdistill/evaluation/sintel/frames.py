"""`flowdistill evaluate sintel`: score folders of .flo files with the end-point errors of Sintel's table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce
from operator import add

from flowdistill.evaluation.sintel.files import SintelFiles
from flowdistill.evaluation.sintel.frame import FrameErrors, evaluate_frame
from flowdistill.in_order import in_order


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
