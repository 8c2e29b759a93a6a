"""Table, pictures and goals of `make demo-long`, from the files on disk only."""

from __future__ import annotations

from pathlib import Path

from flowdistill.data import KittiDataset, read_split
from flowdistill.formats import write_atomically, write_image
from flowdistill.recipes.demo_long_curve import Panel, draw_curves, read_curves
from flowdistill.recipes.overview import left, motion, overview
from flowdistill.recipes.report import Goal, Scores, goal, write_table
from flowdistill.recipes.scores import MEAN, ZERO, baselines, predictions, score

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
    train = KittiDataset(str(data), read_split(train_split), "scene_flow", labels=True)
    val = KittiDataset(str(data), read_split(val_split), "scene_flow", labels=True)
    found = output / "predictions"
    rows = {
        name: score(val, predict)
        for name, predict in (baselines(train) | {DWARF: predictions(found)}).items()
    }
    write_table(output, rows)
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
    return [
        goal(rows, text, "epe_all", DWARF, better, FLOW_LIMIT),
        *(
            goal(
                rows,
                f"{name}'s EPE over the mean disparity's",
                f"{name}_epe_all",
                DWARF,
                MEAN,
                DISPARITY_LIMIT,
            )
            for name in ("disparity_t0", "disparity_t1")
        ),
    ]


def _curve(run: Path, rows: Scores) -> bytes:
    names = {"disparity_t0_epe_all": "at t0", "disparity_t1_epe_all": "at t1"}
    curves = read_curves(run, ["val/epe_all", *(f"val/{key}" for key in names)])
    flow = {name: rows[name]["epe_all"] for name in (ZERO, MEAN)}
    means = {f"mean, {name[-2:]}": rows[MEAN][key] for key, name in names.items()}
    disparities = {f"DWARF {name}": curves[f"val/{key}"] for key, name in names.items()}
    panels = [
        Panel("flow EPE, px", {"DWARF": curves["val/epe_all"]}, flow),
        Panel("disparity EPE, px", disparities, means),
    ]
    return draw_curves(panels, "make demo-long: errors on validation scenes")
