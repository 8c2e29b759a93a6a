"""Report a KITTI evaluation as JSON and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowdistill.evaluation.kitti.counts import THRESHOLDS, ClassCounts, MetricCounts
from flowdistill.evaluation.kitti.files import MOTIONS, OCCLUSIONS, SCENE_FLOW
from flowdistill.evaluation.kitti.images import Counts, pool
from flowdistill.evaluation.kitti.means import means_of_images, pooled_errors

# Names of the metrics in KITTI's tables.
_TITLES = {"disp_0": "D1", "disp_1": "D2", "flow": "Fl", SCENE_FLOW: "SF"}
_METRICS = [f"{motion}_{occlusion}" for motion in (*MOTIONS, SCENE_FLOW) for occlusion in OCCLUSIONS]


def to_json(images: dict[str, Counts], split: Path | None = None) -> dict[str, Any]:
    """Return `{"pooled": {metric: block}, ..., "per_image": {image: {metric: block}}}`; see docs/evaluation.md.

    If a split file selected the images, it comes first: `{"split": "data_splits/kitti_40.txt", ...}`.
    """
    return {
        **({} if split is None else {"split": str(split)}),
        "pooled": _blocks(pool(images)),
        "large_errors": pooled_errors(pool(images)),
        "mean_of_images": means_of_images(images),
        "per_image": {image: _blocks(counts) for image, counts in images.items()},
    }


def table(pooled: Counts) -> str:
    """Format D1, D2, Fl, SF and density in percent and end-point error in px; occ first, as in KITTI's tables.

    Without foreground pixels only `all` is shown, because background is identical.
    """
    with_classes = any(counts.foreground.pixels for counts in pooled.values())
    columns = (["bg", "fg"] if with_classes else []) + ["all", "density", "EPE px"]
    lines = [" " * 8 + "".join(f"{column:>9}" for column in columns)]
    for motion, title in _TITLES.items():
        for occlusion in reversed(OCCLUSIONS):
            counts = pooled.get(f"{motion}_{occlusion}")
            if counts is None:
                continue
            classes = [counts.background, counts.foreground] if with_classes else []
            cells = [_percent(part) for part in (*classes, counts.all)]
            error = counts.end_point_error
            cells += [f"{100 * counts.density:.2f}", "-" if error is None else f"{error:.3f}"]
            lines.append(f"{title:<4}{occlusion:<4}" + "".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


def other_table(images: dict[str, Counts]) -> str:
    """Format what papers report beside the official numbers: errors over 2 to 5 px alone, and means of images."""
    pooled, means = pooled_errors(pool(images)), means_of_images(images)
    limits = [f"over_{limit:g}" for limit in THRESHOLDS]
    titles = [f"> {limit:g} px" for limit in THRESHOLDS]
    lines = [" " * 8 + "".join(f"{title:>9}" for title in (*titles, ">= 3 px", "EPE px"))]
    for motion, title in _TITLES.items():
        for occlusion in reversed(OCCLUSIONS):
            metric = f"{motion}_{occlusion}"
            if metric not in pooled:
                continue
            for name, row, error in (
                ("", pooled[metric], pool(images)[metric].end_point_error),
                ("  mean of images", means[metric], means[metric]["epe"]),
            ):
                cells = [f"{100 * row[key]:.2f}" for key in (*limits, "from_3")] + [f"{error:.3f}"]
                lines.append(f"{title:<4}{occlusion:<4}" + "".join(f"{cell:>9}" for cell in cells) + name)
    return "\n".join(lines)


def _percent(counts: ClassCounts) -> str:
    return f"{100 * counts.rate:.2f}" if counts.pixels else "-"


def _blocks(counts: Counts) -> dict[str, Any]:
    return {metric: _block(counts[metric]) for metric in _METRICS if metric in counts}


def _block(counts: MetricCounts) -> dict[str, Any]:
    return {
        "bg": _class(counts.background),
        "fg": _class(counts.foreground),
        "all": _class(counts.all),
        "density": counts.density,
        "epe": counts.end_point_error,
    }


def _class(counts: ClassCounts) -> dict[str, int | float]:
    return {
        "errors": counts.errors,
        "pixels": counts.pixels,
        "rate": counts.rate,
        "errors_submitted": counts.errors_submitted,
        "pixels_submitted": counts.pixels_submitted,
        "rate_submitted": counts.rate_submitted,
    }
