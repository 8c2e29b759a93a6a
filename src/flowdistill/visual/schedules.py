"""Plots of schedules over a run: one panel per weight, with a shared axis of steps."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE, _KNOTS = "#1b5e86", "#d1495b"
_POINTS = 600  # per curve; the picture has no more columns


@dataclass(frozen=True)
class Curve:
    """A function of the step, and the steps at which it has knots."""

    name: str
    at: Callable[[int], float]
    knots: Sequence[int]


def plot_curves(curves: Sequence[Curve], steps: int, title: str) -> bytes:
    """Draw a PNG with one panel per curve, steps 0 to `steps`; dotted lines mark the knots of all curves."""
    # Imported here because it takes a second.
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(9, 0.9 + 1.05 * len(curves)), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    marks = sorted({step for curve in curves for step in curve.knots if 0 < step < steps})
    for panel, curve in zip(panels, curves, strict=True):
        for step in marks:
            panel.axvline(step, color="0.8", linewidth=0.8, linestyle=":", zorder=0)
        _draw(panel, curve, steps)
        panel.set_title(curve.name, fontsize=9, loc="left", pad=3)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.label_outer()
    panels[-1].set_xlim(0, steps)
    panels[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    panels[-1].set_xlabel("optimiser step", fontsize=9)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(panel: Axes, curve: Curve, steps: int) -> None:
    knots = [step for step in curve.knots if 0 <= step <= steps]
    # Both sides of a knot, so that a jump is vertical.
    sides = {side for step in knots for side in (step - 1, step) if side >= 0}
    places = sorted({*sides, *(round(steps * point / _POINTS) for point in range(_POINTS + 1))})
    values = [curve.at(step) for step in places]
    panel.fill_between(places, values, color=_LINE, alpha=0.12, linewidth=0)
    panel.plot(places, values, color=_LINE, linewidth=1.6)
    if len(curve.knots) > 1:
        panel.plot(
            knots, [curve.at(step) for step in knots], "o", color=_KNOTS, markersize=3.5, clip_on=False
        )
    top = max(values)
    panel.set_ylim(0, 1.15 * top if top > 0 else 1)
    panel.set_yticks([0, top], ["0", f"{top:g}"])
