"""The label report's plot: per motion, error against the share of pixels kept."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from flowdistill.labels.report import RATES, Point, curve
from flowdistill.labels.statistics import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATE, _ERROR, _CHOSEN = "#1b5e86", "#c77d1e", "#d1495b"


def draw_report(pooled: dict[str, Tally], title: str) -> bytes | None:
    """Draw a PNG with one panel per motion with ground truth; None if there is none."""
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
        panel.plot(
            100 * tally.compared_kept / tally.true,
            100 * tally.wrong_kept / tally.compared_kept,
            "o",
            color=_CHOSEN,
            markersize=6,
            label="written",
            zorder=5,
        )
        panel.legend(fontsize=7, frameon=False, loc="upper left")
    for axes in (panel, other):
        axes.tick_params(labelsize=7)
        axes.spines["top"].set_visible(False)
