"""Results of every network, next to the published ones that we could find."""

from __future__ import annotations

import json
from typing import Any

from flowdistill.formats import write_atomically
from flowdistill.recipes.published import PUBLISHED
from flowdistill.recipes.report import markdown
from flowdistill.recipes.reproduce.others import pooled
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import TRAININGS

_RATES = {"D1": "disp_0_occ", "D2": "disp_1_occ", "Fl": "flow_occ", "SF": "scene_flow_occ"}
_ERRORS = {"EPE": "flow_occ", "EPE noc": "flow_noc"}


def results(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return network -> pooled counts of its evaluation, for networks evaluated with their current weights."""
    found = {name: pooled(training, settings) for name, training in TRAININGS.items()}
    return {name: counts for name, counts in found.items() if counts is not None}


def write_table(settings: Settings) -> str:
    """Write table.json and table.md to the output folder; return the latter's text."""
    found = results(settings)
    text = render_table(found, settings)
    content = json.dumps({name: _numbers(pooled) for name, pooled in found.items()}, indent=1) + "\n"
    write_atomically(settings.output / "table.json", content.encode())
    write_atomically(settings.output / "table.md", text.encode())
    return text


def render_table(found: dict[str, dict[str, Any]], settings: Settings) -> str:
    """Return Markdown: our results, then published ones."""
    data = "rendered frames of 72x144 in KITTI's layout, so not KITTI" if settings.smoke else "KITTI 2015"
    ours, published, sources = [], [], []
    for name, training in TRAININGS.items():
        if training.scored_on is None:
            continue
        split = training.scored_on.removeprefix("data_splits/").removesuffix(".txt")
        numbers = _numbers(found[name]) if name in found else {}
        cells = [f"{numbers[key]:.2f}" if key in numbers else "-" for key in (*_RATES, *_ERRORS)]
        ours.append([training.title, split, *cells])
    for number, row in enumerate(PUBLISHED, start=1):
        value = f"{row.value:g} {'%' if row.unit == 'percent' else row.unit}"
        published.append([row.method, row.data, row.images, row.pixels, row.metric, value, f"[{number}]"])
        sources.append(f"[{number}] {row.source}: {' '.join(row.urls)}\n")
    return "\n".join([
        f"# Ours: {data}, seed {settings.seed}",
        "",
        "Official counts, all pixels with ground truth (`occ`), in percent; EPE of flow in px. No network was trained",
        "on the ground truth of these scenes. The two final networks were, so only KITTI's server can score them.",
        "",
        markdown(["network", "scored on", *_RATES, *_ERRORS], ours),
        "# Published results that we could find",
        "",
        markdown(["method", "data", "images", "pixels", "metric", "value", "source"], published),
        *sources,
        "DWARF's accuracies are in its paper (AAAI 2020), whose tables we could not read; none is repeated here.\n",
    ])  # fmt: skip


def _numbers(pooled: dict[str, Any]) -> dict[str, float]:
    """Return the rates in percent and flow's end-point error of an evaluation, as far as available."""
    numbers = {name: 100 * pooled[key]["all"]["rate"] for name, key in _RATES.items() if key in pooled}
    for name, key in _ERRORS.items():
        if key in pooled and pooled[key]["epe"] is not None:
            numbers[name] = pooled[key]["epe"]
    return numbers
