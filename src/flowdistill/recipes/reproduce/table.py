"""Results of every network, next to the published ones that we could find."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from flowdistill.formats import write_atomically
from flowdistill.recipes.published import published_section
from flowdistill.recipes.report import markdown
from flowdistill.recipes.reproduce.arguments import scored_split, start_stage
from flowdistill.recipes.reproduce.score import (
    KITTI_ERRORS,
    KITTI_MEANS,
    KITTI_RATES,
    SINTEL,
    numbers,
    pooled,
)
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import TRAININGS, Name, Training, scored

_COLUMNS: dict[Name, list[str]] = {"kitti": [*KITTI_RATES, *KITTI_ERRORS, *KITTI_MEANS], "sintel": [*SINTEL]}
_ABOUT: dict[Name, str] = {
    "kitti": "Official counts, all pixels with ground truth (`occ`), in percent; EPE of flow in px. No network was\n"
    "trained on the ground truth of these scenes. The two final networks were, so only KITTI's server can score them.\n"
    "`images`: of flow, means of images, and bad-3 without the 5 % rule, as some papers report them.",
    "sintel": "Mean end-point error in px over Sintel's training scenes, with the regions of its own table. DDFlow\n"
    "trains on these images without their ground truth.",
}


def results(settings: Settings, reproduction: Name) -> dict[str, dict[str, float]]:
    """Return network -> its numbers, for networks evaluated with their current weights."""
    found = {training.name: pooled(training, reproduction, settings) for training in scored(reproduction)}
    return {name: numbers(result, reproduction) for name, result in found.items() if result is not None}


def write_table(settings: Settings, reproduction: Name = "kitti") -> tuple[str, Path]:
    """Write the table as .json and .md to the output folder; return the latter's text and path."""
    found = results(settings, reproduction)
    text = render_table(found, settings, reproduction)
    name = "table" if reproduction == "kitti" else f"table_{reproduction}"
    write_atomically(settings.output / f"{name}.json", (json.dumps(found, indent=1) + "\n").encode())
    write_atomically(settings.output / f"{name}.md", text.encode())
    return text, settings.output / f"{name}.md"


def render_table(
    found: Mapping[str, Mapping[str, float]], settings: Settings, reproduction: Name = "kitti"
) -> str:
    """Return Markdown: our results, then published ones."""
    name = {"kitti": "KITTI 2015", "sintel": "MPI-Sintel"}[reproduction]
    data = f"rendered frames of 72x144 in the layout of {name}, so not {name}" if settings.smoke else name
    columns, ours = _COLUMNS[reproduction], []
    for training in scored(reproduction):
        row = found.get(training.name, {})
        if not row and training.name.endswith("_photometric"):
            continue  # an alternative that was not run
        split = scored_split(training, settings).removeprefix("data_splits/").removesuffix(".txt")
        cells = [f"{row[column]:.2f}" if column in row else "-" for column in columns]
        ours.append([training.title, origin(training, settings), split, *cells])
    return "\n".join([
        f"# Ours: {data}, seed {settings.seed}",
        "",
        _ABOUT[reproduction],
        "",
        markdown(["network", "first trained on", "scored on", *columns], ours),
        published_section(reproduction),
    ])  # fmt: skip


def origin(training: Training, settings: Settings) -> str:
    """Return the data set on which a network's training began, following the stages that it started from."""
    names = {"kitti": "KITTI", "things": "FlyingThings3D", "chairs": "FlyingChairs", "sintel": "Sintel"}
    while (start := start_stage(training, settings)) is not None:
        training = TRAININGS[start]
    without = training.view == "flow" and training.data != "chairs"
    return names[training.data] + (", without FlyingChairs" if without else "")
