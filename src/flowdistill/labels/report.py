"""The label report, as table, JSON and plot.

Density, lost values, and, with ground truth, error against density by confidence threshold.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdistill.labels.statistics import BINS, Tally, add

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATE, _ERROR, _CHOSEN = "#1b5e86", "#c77d1e", "#d1495b"
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
    pooled: dict[str, Tally] = {}
    for sample in samples:
        for key, tally in sample.items():
            pooled[key] = add(pooled[key], tally) if key in pooled else tally
    return pooled


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
        kept = found["kept_of_compared"]
        rows.append(
            (
                key,
                f"{100 * tally.known / tally.pixels:.1f} -> {100 * tally.kept / tally.pixels:.1f}",
                f"{RATES[key]} {_change(found['outliers_before'], found['outliers'], 100)}",
                _change(found["end_point_error_before"], found["end_point_error"], 1),
                "" if kept is None else f"{100 * kept:.1f}",
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


def draw_report(pooled: dict[str, Tally], title: str) -> bytes | None:
    """Draw a PNG of error against the share of pixels kept: a panel per motion with ground truth; None without any."""
    curves = {key: points for key, tally in pooled.items() if (points := curve(tally))}
    if not curves:
        return None
    # Imported here since it takes a second.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(curves) + 0.6, 3.6), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (key, points) in zip(panels, curves.items(), strict=True):
        _draw(panel, key, points, pooled[key])
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(panel: Axes, key: str, points: list[Point], tally: Tally) -> None:
    share = [100 * point.share for point in points]
    rate = [100 * point.outliers for point in points]
    panel.plot(share, rate, color=_RATE, linewidth=1.8)
    panel.set_title(key, fontsize=9, loc="left")
    panel.set_xlabel("pixels with truth that have a label, %", fontsize=8)
    panel.set_ylabel(f"{RATES[key]}, %", fontsize=8, color=_RATE)
    panel.set_xlim(0, 100)
    panel.set_ylim(0, max(rate) * 1.1 or 1)
    panel.grid(color="0.92", linewidth=0.8)
    other = panel.twinx()
    errors = [point.end_point_error for point in points]
    other.plot(share, errors, color=_ERROR, linewidth=1.2, linestyle="--")
    other.set_ylabel("mean error, px", fontsize=8, color=_ERROR)
    other.set_ylim(0, max(errors) * 1.1 or 1)
    if tally.compared_kept:
        # The labels as written; disparity at t1 passes two filters, so it may lie off the curve.
        share_kept = 100 * tally.compared_kept / tally.true
        rate_kept = 100 * tally.wrong_kept / tally.compared_kept
        panel.plot(share_kept, rate_kept, "o", color=_CHOSEN, markersize=6, label="written", zorder=5)
        panel.legend(fontsize=7, frameon=False, loc="upper left")
    for axes in (panel, other):
        axes.tick_params(labelsize=7)
        axes.spines["top"].set_visible(False)
