"""`flowdistill evaluate kitti`: score folders of predictions with the numbers of KITTI's official tool.

Source: KITTI 2015 development kit, `evaluate_scene_flow`; docs/evaluation.md states its rules.
"""

from __future__ import annotations

from functools import partial, reduce
from operator import add

from flowdistill.evaluation.kitti.counts import MetricCounts
from flowdistill.evaluation.kitti.files import KittiFiles
from flowdistill.evaluation.kitti.image import evaluate_image
from flowdistill.in_order import in_order

Counts = dict[str, MetricCounts]  # by metric


def evaluate_images(files: KittiFiles, workers: int = 1) -> dict[str, Counts]:
    """Return counts by image, ordered by name for any number of worker processes.

    Raises UserError (including FormatError) for the first image in that order with an unusable file, or for fewer than
    one worker.
    """
    counts = in_order(partial(evaluate_image, files), files.images, workers, "image", "evaluate")
    return dict(zip(files.images, counts, strict=True))


def pool(images: dict[str, Counts]) -> Counts:
    """Sum over images, by metric: large images have more weight, as in the official tool."""
    metrics = next(iter(images.values()))
    return {metric: reduce(add, [counts[metric] for counts in images.values()]) for metric in metrics}
