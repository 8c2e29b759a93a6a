"""Learning curve of a run, from the metrics.csv of all its versions: one per start, more if it was resumed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = list[tuple[int, float]]  # (optimiser steps done, value)

_COLOURS = ("#1b5e86", "#c77d1e")
_BASELINES = (("#d1495b", "-"), ("#6b6b6b", "--"))


@dataclass(frozen=True)
class Panel:
    """One plot: curves, and baselines as horizontal lines, all by name and in the same unit."""

    title: str
    curves: Mapping[str, Curve]
    baselines: Mapping[str, float]


def read_curves(run: Path, metrics: Sequence[str]) -> dict[str, Curve]:
    """Return metric -> its values over the steps of a run, as CSVLogger wrote them to run/version_N/metrics.csv.

    A resumed run starts at its last checkpoint: later values of an earlier version are discarded.

    Raises:
        UserError: a metric was never logged.
    """
    versions = sorted(run.glob("version_*/metrics.csv"), key=_version)
    curves: dict[str, dict[int, float]] = {metric: {} for metric in metrics}
    for path in versions:
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["step"]]
        if not rows:
            continue
        first = min(int(row["step"]) for row in rows)
        for metric in metrics:
            # Lightning counts steps from 0: step 99 is logged when 100 are done.
            values = {step: value for step, value in curves[metric].items() if step <= first}
            values |= {int(row["step"]) + 1: float(row[metric]) for row in rows if row.get(metric)}
            curves[metric] = values
    for metric, points in curves.items():
        if not points:
            raise UserError(
                f"{run}: no metrics.csv below it contains {metric}; the run ended before its first validation"
            )
    return {metric: sorted(points.items()) for metric, points in curves.items()}


def draw_curves(panels: Sequence[Panel], title: str) -> bytes:
    """Return a PNG of the panels side by side."""
    # Takes a second to import.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(panels), 3.8), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(axes: Axes, panel: Panel) -> None:
    lines = zip(_BASELINES, panel.baselines.items(), strict=False)
    for (colour, style), (
        name,
        value,
    ) in lines:  # two styles, because the lines of two baselines may coincide
        axes.axhline(value, color=colour, linewidth=1.4, linestyle=style, label=f"{name}: {value:.2f}")
    for colour, (name, curve) in zip(_COLOURS, panel.curves.items(), strict=False):
        steps, values = zip(*curve, strict=True)
        label = f"{name}: {values[-1]:.2f} at the end"
        axes.plot(steps, values, color=colour, linewidth=1.6, marker="o", markersize=2.5, label=label)
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_xlabel("optimiser step", fontsize=9)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(color="0.92", linewidth=0.8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _version(path: Path) -> int:
    return int(path.parent.name.removeprefix("version_"))
