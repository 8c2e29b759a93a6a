"""`flowdistill evaluate kitti`: folders of predictions -> the numbers of KITTI's official tool.

Source: KITTI 2015 development kit, `evaluate_scene_flow`; docs/evaluation.md states its rules.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial, reduce
from operator import add

import cv2
from tqdm import tqdm

from flowdistill.errors import UserError
from flowdistill.evaluation.kitti_counts import MetricCounts
from flowdistill.evaluation.kitti_files import KittiFiles
from flowdistill.evaluation.kitti_image import evaluate_image

Counts = dict[str, MetricCounts]  # by metric


def evaluate_images(files: KittiFiles, workers: int = 1) -> dict[str, Counts]:
    """Counts by image, in the order of their names, whatever the number of worker processes.

    Raises UserError (FormatError included) for the first image in that order with a file that cannot be used, or for
    fewer than one worker.
    """
    if workers < 1:
        raise UserError(f"--workers is {workers}; use at least 1 process")
    results = _counts(files, min(workers, len(files.images)))
    bar = tqdm(results, total=len(files.images), unit="image", desc="evaluate")
    return dict(zip(files.images, bar, strict=True))


def pool(images: dict[str, Counts]) -> Counts:
    """The sum over images, by metric: large images weigh more, as in the official tool."""
    metrics = next(iter(images.values()))
    return {metric: reduce(add, [counts[metric] for counts in images.values()]) for metric in metrics}


def _counts(files: KittiFiles, workers: int) -> Iterator[Counts]:
    evaluate = partial(evaluate_image, files)
    if workers == 1:
        yield from map(evaluate, files.images)
        return
    # Fresh processes: a fork would copy the threads' state of OpenCV and of whatever else the caller runs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, cv2.setNumThreads, (1,)) as executor:
        yield from executor.map(evaluate, files.images)
