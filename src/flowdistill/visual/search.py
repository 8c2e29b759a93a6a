"""Plots of a search: each trial as a line through its parameters to its result, and the parameters' importance."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAP = "viridis_r"  # dark is good, also in print
_PALEST = 0.2  # position in the map of the palest colour that is visible on white
_EARLY = "0.75"


@dataclass(frozen=True)
class Axis:
    """A parameter: the ends of its range, or with `named` its possible values."""

    name: str
    ends: Sequence[Any]
    log: bool
    named: bool = False

    def place(self, value: Any) -> float:
        """Return the position of a value, from 0 (bottom) to 1."""
        if self.named:
            return (list(self.ends).index(value) + 0.5) / len(self.ends)
        low, high = (math.log(end) if self.log else end for end in self.ends)
        return ((math.log(value) if self.log else value) - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return the positions and texts of the ticks."""
        if self.named:
            return [(self.place(value), str(value)) for value in self.ends]
        low, high = self.ends
        middle = math.sqrt(low * high) if self.log else (low + high) / 2
        return [(self.place(value), f"{value:.3g}") for value in (low, middle, high)]


@dataclass(frozen=True)
class Line:
    """A trial: its values on the axes, its result, and whether it was completed."""

    values: Sequence[Any]
    result: float
    whole: bool


def draw_search(
    axes: Sequence[Axis],
    lines: Sequence[Line],
    metric: str,
    maximize: bool,
    importance: Mapping[str, float],
    failed: int = 0,
) -> bytes:
    """Draw a PNG: parallel coordinates with the result as the last one, and bars of importance if there are any.

    Args:
        axes: parameters, from left to right.
        lines: trials with a result; trials that were stopped early are grey.
        metric: name of the result; the best is on top.
        maximize: whether larger results are better.
        importance: name of an axis -> share; may be empty.
        failed: trials without a result, for the title.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    width = 1.9 * (len(axes) + 1) + (3.2 if importance else 0)
    figure = Figure(figsize=(max(width, 7), 4.6), dpi=110, layout="constrained")
    ratios = [1.9 * (len(axes) + 1), 3.2]
    panels = figure.subplots(1, 2, width_ratios=ratios) if importance else [figure.subplots()]
    results = [line.result for line in lines]
    low, high = min(results), max(results)
    ends = (low, high) if maximize else (high, low)  # bottom, top
    scale = Axis(metric, ends if low != high else (ends[0] - 0.5, ends[0] + 0.5), False)
    colours = colormaps[_MAP]
    whole = [line.result for line in lines if line.whole]
    best_of_all = (max if maximize else min)(whole, default=None)
    panel = panels[0]
    # The best one last, so that it is drawn on top.
    for line in sorted(lines, key=lambda line: (line.whole, line.result if maximize else -line.result)):
        top = scale.place(line.result)
        heights = [axis.place(value) for axis, value in zip(axes, line.values, strict=True)] + [top]
        best = line.whole and line.result == best_of_all
        panel.plot(
            range(len(heights)), heights, color=colours(_PALEST + (1 - _PALEST) * top) if line.whole else _EARLY,
            linewidth=2.6 if best else 1.3, alpha=0.95 if line.whole else 0.7, zorder=2 if line.whole else 1,
            marker="o", markersize=3, clip_on=False,
        )  # fmt: skip
    _draw_axes(panel, [*axes, scale])
    early = sum(not line.whole for line in lines)
    counts = [f"{len(lines) - early} trials"]
    counts += [f"{early} stopped early (grey)"] if early else []
    counts += [f"{failed} failed"] if failed else []
    panel.set_title(f"{metric}, the best on top: {', '.join(counts)}", fontsize=10, loc="left", pad=22)
    if importance:
        _draw_importance(panels[1], importance)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_axes(panel: Axes, axes: Sequence[Axis]) -> None:
    for position, axis in enumerate(axes):
        panel.axvline(position, color="0.25", linewidth=1, zorder=0)
        for height, text in axis.ticks():
            panel.annotate(
                text, (position, height), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.8}, zorder=3,
            )  # fmt: skip
        name = axis.name if position < len(axes) - 1 else f"{axis.name}  "
        panel.annotate(
            name.replace(".", ".\n", 1) if len(name) > 18 else name, (position, 1), xytext=(0, 7),
            textcoords="offset points", fontsize=8, ha="center", va="bottom",
        )  # fmt: skip
    panel.set_xlim(-0.15, len(axes) - 1 + 0.35)
    panel.set_ylim(-0.03, 1.03)
    panel.axis("off")


def _draw_importance(panel: Axes, importance: Mapping[str, float]) -> None:
    names = list(importance)[::-1]
    shares = [importance[name] for name in names]
    panel.barh(names, shares, color="#1b5e86", height=0.6)
    panel.set_title("importance", fontsize=10, loc="left")
    panel.set_xlim(0, max(1e-6, max(shares)) * 1.25)
    panel.tick_params(labelsize=8)
    panel.set_xticks([])
    panel.spines[["top", "right", "bottom"]].set_visible(False)
    for place, share in enumerate(shares):
        panel.annotate(
            f"{share:.0%}", (share, place), xytext=(3, 0), textcoords="offset points", fontsize=8, va="center"
        )
