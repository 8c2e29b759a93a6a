"""Curves of several runs: one panel per metric, one colour per run."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = tuple[Sequence[int], Sequence[float]]
"""Steps, and values, which may be NaN."""

# Okabe and Ito's colours, distinguishable for the colour-blind; repeated with other line styles.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
_COLUMNS = 3


def draw_run_curves(
    curves: Mapping[str, Mapping[str, Points]], runs: Sequence[str], smooth: int = 1
) -> bytes:
    """Draw a PNG with one panel per metric.

    Values that span more than two decades get a logarithmic axis. NaN is a gap.

    Args:
        curves: metric -> run -> points.
        runs: all names, in the order of their colours.
        smooth: length of the trailing moving average.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import EngFormatter

    across = min(_COLUMNS, len(curves))
    down = math.ceil(len(curves) / across)
    figure = Figure(figsize=(4.3 * across, 2.7 * down + 0.5), dpi=110, layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    styles = {run: (COLOURS[number % len(COLOURS)], _STYLES[number // len(COLOURS) % len(_STYLES)])
              for number, run in enumerate(runs)}  # fmt: skip
    for panel, (metric, of_runs) in zip(panels, curves.items(), strict=False):
        for run, points in of_runs.items():
            _draw(panel, points, *styles[run], smooth)
        panel.set_title(metric, fontsize=9, loc="left", pad=3)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        values = [abs(value) for _, each in of_runs.values() for value in each if math.isfinite(value)]
        if values and min(values) > 0 and max(values) > 100 * min(values):
            panel.set_yscale("log")
    for panel in panels[len(curves) :]:
        panel.set_visible(False)
    for panel in panels[max(0, len(curves) - across) : len(curves)]:
        panel.set_xlabel("optimiser step", fontsize=8)
    handles = [
        Line2D([], [], color=colour, linestyle=style, linewidth=2) for colour, style in styles.values()
    ]
    figure.legend(
        handles, list(styles), loc="outside upper left", ncols=min(4, len(runs)), fontsize=9, frameon=False
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(
    panel: Axes, points: Points, colour: str, style: Literal["-", "--", ":", "-."], smooth: int
) -> None:
    steps, values = points
    if smooth > 1:
        values = [_mean(values[max(0, end - smooth) : end]) for end in range(1, len(values) + 1)]
    few = len(values) <= 25
    panel.plot(
        steps, [value if math.isfinite(value) else math.nan for value in values], color=colour, linestyle=style,
        linewidth=1.6, marker="o" if few else None, markersize=3,
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers and not math.isnan(values[-1]) else math.nan
