"""Table, pictures and goals of `make demo-long`, from the files on disk only.

The learning curve is from the metrics.csv of all versions of the run: one per start, more if it was resumed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically, write_image
from flowdistill.recipes.commands import version
from flowdistill.recipes.overview import left, motion, overview
from flowdistill.recipes.report import Goal, Scores, compare, goal
from flowdistill.recipes.scores import MEAN, ZERO

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = list[tuple[int, float]]  # (optimiser steps done, value)

_COLOURS = ("#1b5e86", "#c77d1e")
_BASELINES = (("#d1495b", "-"), ("#6b6b6b", "--"))
DWARF = "DWARF"
#: "Clearly below": the error over the better baseline's.
FLOW_LIMIT, DISPARITY_LIMIT = 0.75, 0.5


def report(output: Path, data: Path, run: Path, train_split: str, val_split: str) -> list[Goal]:
    """Write table.md, table.json, curve.png and overview.png into `output`; return the goals.

    Args:
        output: folder that contains predictions/.
        data: the rendered scenes.
        run: folder that contains version_N/metrics.csv.
        train_split: split whose mean motion is a baseline.
        val_split: the predicted split.
    """
    found = output / "predictions"
    val, rows = compare(output, data, train_split, val_split, {DWARF: found})
    write_atomically(output / "curve.png", _curve(run, rows))
    columns = {
        "left_t0": left,
        "true flow": motion("flow"),
        "DWARF's flow": motion("flow", found),
        "true disparity": motion("disparity_t0"),
        "DWARF's disparity": motion("disparity_t0", found),
    }
    write_image(output / "overview.png", overview(val, columns))
    return goals(rows)


def goals(rows: Scores) -> list[Goal]:
    """Return the goals: error of flow clearly below zero and mean motion, of both disparities below their mean."""
    better = min((ZERO, MEAN), key=lambda method: rows[method]["epe_all"])
    text = f"flow EPE over that of the better baseline ({better})"
    found = [goal(rows, text, "epe_all", DWARF, better, FLOW_LIMIT)]
    for name in ("disparity_t0", "disparity_t1"):
        text = f"{name}'s EPE over the mean disparity's"
        found.append(goal(rows, text, f"{name}_epe_all", DWARF, MEAN, DISPARITY_LIMIT))
    return found


def _curve(run: Path, rows: Scores) -> bytes:
    """Return a PNG of the errors over the steps of a run, with those of the baselines as horizontal lines."""
    # Takes a second to import.
    from matplotlib.figure import Figure

    names = {"disparity_t0_epe_all": "at t0", "disparity_t1_epe_all": "at t1"}
    curves = read_curves(run, ["val/epe_all", *(f"val/{key}" for key in names)])
    flow = {name: rows[name]["epe_all"] for name in (ZERO, MEAN)}
    means = {f"mean, {name[-2:]}": rows[MEAN][key] for key, name in names.items()}
    disparities = {f"DWARF {name}": curves[f"val/{key}"] for key, name in names.items()}
    figure = Figure(figsize=(10.4, 3.8), dpi=110, layout="constrained")
    figure.suptitle("make demo-long: errors on validation scenes", fontsize=10, x=0.01, ha="left")
    left_, right = figure.subplots(1, 2)
    _draw(left_, "flow EPE, px", {"DWARF": curves["val/epe_all"]}, flow)
    _draw(right, "disparity EPE, px", disparities, means)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def read_curves(run: Path, metrics: Sequence[str]) -> dict[str, Curve]:
    """Return metric -> its values over the steps of a run, as CSVLogger wrote them to run/version_N/metrics.csv.

    A resumed run starts at its last checkpoint: later values of an earlier version are discarded.

    Raises:
        UserError: a metric was never logged.
    """
    versions = sorted(run.glob("version_*/metrics.csv"), key=version)
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


def _draw(axes: Axes, title: str, curves: Mapping[str, Curve], baselines: Mapping[str, float]) -> None:
    lines = zip(_BASELINES, baselines.items(), strict=False)
    # Two styles, because the lines of two baselines may coincide.
    for (colour, style), (name, value) in lines:
        axes.axhline(value, color=colour, linewidth=1.4, linestyle=style, label=f"{name}: {value:.2f}")
    for colour, (name, curve) in zip(_COLOURS, curves.items(), strict=False):
        steps, values = zip(*curve, strict=True)
        label = f"{name}: {values[-1]:.2f} at the end"
        axes.plot(steps, values, color=colour, linewidth=1.6, marker="o", markersize=2.5, label=label)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("optimiser step", fontsize=9)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(color="0.92", linewidth=0.8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
