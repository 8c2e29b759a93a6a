"""The label report: density, lost values, and, with ground truth, error against density by confidence threshold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from flowdistill.labels.statistics import BINS, Tally, add

#: Motion -> the name of its outlier rate.
RATES = {"disparity_t0": "bad-3", "disparity_t1": "bad-3", "flow": "Fl", "flow_backward": "Fl"}


@dataclass(frozen=True)
class Point:
    """The pixels with a confidence of at least `threshold`, among those with a label and ground truth.

    `share` is their share of all pixels with ground truth; `outliers` (0 to 1) and `end_point_error` (px) are means
    over them.
    """

    threshold: float
    share: float
    outliers: float
    end_point_error: float


def pool(samples: Iterable[dict[str, Tally]]) -> dict[str, Tally]:
    """Sum the counts of all samples, by motion."""
    gathered: dict[str, list[Tally]] = {}
    for sample in samples:
        for key, value in sample.items():
            gathered.setdefault(key, []).append(value)
    return {key: reduce(add, values) for key, values in gathered.items()}


def curve(tally: Tally) -> list[Point]:
    """Return points from all known pixels (threshold 0) to the most confident; empty without ground truth.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.combine import Label
        >>> from flowdistill.labels.report import curve
        >>> from flowdistill.labels.statistics import tally
        >>> known = np.array([[True, True]])
        >>> label = Label(np.float32([[[8.0], [20.0]]]), known, np.float32([[0.9, 0.2]]), known)
        >>> points = curve(tally(label, truth=np.float32([[[8.0], [8.0]]]), true=known))
        >>> [(point.share, point.outliers) for point in points]  # the more confident half is correct
        [(1.0, 0.5), (0.5, 0.0)]
    """
    points = []
    compared = wrong = 0
    error = 0.0
    for index in reversed(range(BINS)):
        compared += tally.compared[index]
        wrong += tally.wrong[index]
        error += tally.error[index]
        if tally.compared[index]:
            points.append(Point(index / BINS, compared / tally.true, wrong / compared, error / compared))
    return points[::-1]


def summary(tally: Tally) -> dict[str, float | int | None]:
    """Return the numbers of one motion; None where ground truth is needed but missing.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.combine import Label
        >>> from flowdistill.labels.report import summary
        >>> from flowdistill.labels.statistics import tally
        >>> known, keep = np.array([[True, True]]), np.array([[True, False]])
        >>> label = Label(np.float32([[[8.0], [20.0]]]), known, np.float32([[0.9, 0.2]]), keep)
        >>> found = summary(tally(label, truth=np.float32([[[8.0], [8.0]]]), true=known))
        >>> found["density"], found["outliers_before"], found["outliers"]
        (0.5, 0.5, 0.0)
    """
    compared, wrong, error = sum(tally.compared), sum(tally.wrong), sum(tally.error)

    def over(part: float, whole: int) -> float | None:
        return part / whole if whole else None

    return {
        "density_before": tally.known / tally.pixels,
        "density": tally.kept / tally.pixels,
        "lost_to_16_bits": tally.lost,
        "pixels_with_truth": tally.true,
        "outliers_before": over(wrong, compared),
        "outliers": over(tally.wrong_kept, tally.compared_kept),
        "end_point_error_before": over(error, compared),
        "end_point_error": over(tally.error_kept, tally.compared_kept),
        "kept_of_compared": over(tally.compared_kept, compared),
    }


def to_json(samples: int, pooled: dict[str, Tally], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the report's content for a JSON file; rates are 0 to 1, errors in px."""
    return {
        "samples": samples,
        "settings": settings,
        "motions": {
            key: {
                **summary(tally),
                "outlier_rule": RATES[key],
                "curve": [vars(point) for point in curve(tally)],
            }
            for key, tally in pooled.items()
        },
    }


def table(pooled: dict[str, Tally]) -> str:
    """Format the report as a table for the terminal: values before -> after filtering."""
    head = ("motion", "density %", "outliers %", "mean error px", "kept of compared %", "lost")
    rows = [head]
    for key, tally in pooled.items():
        found = summary(tally)
        rows.append(
            (
                key,
                f"{100 * tally.known / tally.pixels:.1f} -> {100 * tally.kept / tally.pixels:.1f}",
                f"{RATES[key]} {_change(found['outliers_before'], found['outliers'], 100)}",
                _change(found["end_point_error_before"], found["end_point_error"], 1),
                _percent(found["kept_of_compared"]),
                str(tally.lost),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _change(before: float | None, after: float | None, scale: int) -> str:
    if before is None:
        return "no truth"
    return f"{scale * before:.2f} -> " + ("none left" if after is None else f"{scale * after:.2f}")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
