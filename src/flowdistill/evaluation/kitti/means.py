"""Numbers of papers that differ from KITTI 2015's official ones: other thresholds, and means of images.

All fractions are of the pixels with ground truth, missing predictions filled as by the official tool.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from flowdistill.evaluation.kitti.counts import THRESHOLDS, MetricCounts
from flowdistill.evaluation.kitti.images import Counts


def large_errors(counts: MetricCounts) -> dict[str, float]:
    """Return the fractions `over_2` to `over_5` of errors above so many px, and `from_3`: 3 px or more; no 5 % rule.

    Raises:
        ValueError: scene flow, which has no end-point error, or no pixels.
    """
    if counts.large is None or counts.all.pixels == 0:
        raise ValueError("there are no end-point errors")
    shares = {
        f"over_{limit:g}": n / counts.all.pixels
        for limit, n in zip(THRESHOLDS, counts.large.over, strict=True)
    }
    return {**shares, "from_3": counts.large.from_3 / counts.all.pixels}


def pooled_errors(pooled: Counts) -> dict[str, dict[str, float]]:
    """Return metric -> `large_errors` over the pixels of all images, for the metrics that have end-point errors."""
    return {name: large_errors(counts) for name, counts in pooled.items() if _has_errors(counts)}


def means_of_images(images: dict[str, Counts]) -> dict[str, dict[str, Any]]:
    """Return metric -> means over images, each of which has the same weight, however many labels it has.

    Keys: `images`, the number of images with ground truth, which alone count; `epe` in px; `rate`, the official
    outlier rate; and those of `large_errors`.

    Examples:
        >>> from flowdistill.evaluation.kitti.counts import ClassCounts, LargeErrors, MetricCounts
        >>> from flowdistill.evaluation.kitti.means import means_of_images
        >>> def flow(wrong, pixels):
        ...     counts = ClassCounts(wrong, pixels, wrong, pixels)
        ...     large = LargeErrors((wrong, wrong, 0, 0), wrong)
        ...     return {"flow_occ": MetricCounts(counts, ClassCounts(0, 0, 0, 0), wrong * 2**22, large)}  # 4 px each
        >>> found = means_of_images({"a": flow(1, 2), "b": flow(0, 198)})["flow_occ"]
        >>> found["images"], found["over_3"], found["epe"]  # pooled: 0.005 and 0.02
        (2, 0.25, 1.0)
    """
    found: dict[str, dict[str, Any]] = {}
    for metric in dict.fromkeys(name for counts in images.values() for name in counts):
        known = [counts[metric] for counts in images.values() if _has_errors(counts[metric])]
        if not known:
            continue
        each = [
            {"epe": counts.end_point_error or 0.0, "rate": counts.all.rate, **large_errors(counts)}
            for counts in known
        ]
        found[metric] = {"images": len(known), **{key: fmean(row[key] for row in each) for key in each[0]}}
    return found


def _has_errors(counts: MetricCounts) -> bool:
    return counts.large is not None and counts.all.pixels > 0
