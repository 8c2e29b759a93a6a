"""The stage that scores every finished network on ground truth that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowdistill.data.shipped import find
from flowdistill.recipes.commands import finished, read_json
from flowdistill.recipes.reproduce.arguments import predict_arguments, score_root, scored_split
from flowdistill.recipes.reproduce.cards import finished_ones, split_record, write_stage_card
from flowdistill.recipes.reproduce.marks import Done, once, stored
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import EVALUATED, Name, Training, scored
from flowdistill.recipes.side_by_side import cores
from flowdistill.tracking import file_record, now


def evaluate(settings: Settings, stage: str) -> None:
    """Compute the benchmark's official numbers for every finished network.

    Raises:
        UserError: no network is finished.
    """
    benchmark = EVALUATED[stage]
    trainings = {training.name: training for training in scored(benchmark)}
    nothing = f'{stage}: no network is trained yet; select a training, such as STAGES="{next(iter(trainings))} {stage}"'
    networks = finished_ones(list(trainings), settings, "evaluated", nothing)
    started = now()
    done = [_score(trainings[name], benchmark, settings, weights) for name, weights in networks.items()]
    metrics = {
        f"{name}/{metric}": value
        for name in networks
        for metric, value in numbers(pooled(trainings[name], benchmark, settings) or {}, benchmark).items()
    }
    data = score_root(benchmark)
    chosen = {scored_split(training, settings) for training in trainings.values()}
    splits = {split: split_record(data, split, settings) for split in chosen}
    results = [_folder(trainings[name], benchmark, settings) / "result.json" for name in networks]
    write_stage_card(stage, settings, done, started, metrics, results, networks, splits=splits)


def pooled(training: Training, benchmark: Name, settings: Settings) -> dict[str, Any] | None:
    """Return the result of a network's current weights; None if it is unfinished or not evaluated with them.

    Raises:
        UserError: a file of the evaluation is damaged.
    """
    checkpoint = finished(settings.folder(training.name))
    folder = _folder(training, benchmark, settings)
    if checkpoint is None or training.scored_on is None:
        return None
    if stored(folder / "done.json", _inputs(training, benchmark, settings, checkpoint)) is None:
        return None
    return read_json(folder / "result.json")


#: Column of the table -> block of the evaluation.
KITTI_RATES = {"D1": "disp_0_occ", "D2": "disp_1_occ", "Fl": "flow_occ", "SF": "scene_flow_occ"}
KITTI_ERRORS = {"EPE": "flow_occ", "EPE noc": "flow_noc"}
#: Column -> key of the means of images, of flow_occ.
KITTI_MEANS = {"EPE, images": "epe", "bad-3, images": "over_3"}
#: Column -> pass and region of Sintel's table.
SINTEL = {
    f"{pass_} {region}": (pass_, region) for pass_ in ("clean", "final") for region in ("all", "matched", "unmatched")
}  # fmt: skip


def numbers(result: dict[str, Any], benchmark: Name) -> dict[str, float]:
    """Return an evaluation's numbers by the table's columns: rates in percent, end-point errors in px."""
    blocks = result.get("pooled", {})
    if benchmark == "sintel":
        found = {
            column: blocks.get(pass_, {}).get(region, {}).get("epe")
            for column, (pass_, region) in SINTEL.items()
        }
        return {column: value for column, value in found.items() if value is not None}
    rates = {name: 100 * blocks[key]["all"]["rate"] for name, key in KITTI_RATES.items() if key in blocks}
    errors = {name: blocks[key]["epe"] for name, key in KITTI_ERRORS.items() if key in blocks}
    means = result.get("mean_of_images", {}).get("flow_occ", {})
    errors |= {
        name: (100 if key == "over_3" else 1) * means[key]
        for name, key in KITTI_MEANS.items()
        if key in means
    }
    return rates | {name: value for name, value in errors.items() if value is not None}


def _folder(training: Training, benchmark: Name, settings: Settings) -> Path:
    return settings.folder("evaluate" if benchmark == "kitti" else "sintel_evaluate") / training.name


def _inputs(training: Training, benchmark: Name, settings: Settings, checkpoint: Path) -> dict[str, Any]:
    name = scored_split(training, settings)
    content = find(name).read_text() if find(name).is_file() else name
    return {**weights_and_data(settings, benchmark, checkpoint), "split": content}


def weights_and_data(settings: Settings, benchmark: Name, checkpoint: Path) -> dict[str, Any]:
    """Return what predictions depend on."""
    root = settings.root(score_root(benchmark))
    return {"weights": file_record(checkpoint)["sha256"], "data": str(root.resolve())}


def _score(training: Training, benchmark: Name, settings: Settings, checkpoint: Path) -> Done:
    """Predict and count, unless done for these weights."""
    folder = _folder(training, benchmark, settings)
    result, predictions = folder / "result.json", folder / "predictions"
    score = [
        "evaluate", benchmark,
        "--predictions", str(predictions),
        "--ground-truth", str(settings.root(score_root(benchmark)) / "training"),
        *(["--split", scored_split(training, settings)] if benchmark == "kitti" else []),
        "--json", str(result),
        "--workers", str(cores()),
    ]  # fmt: skip
    predict = ["predict", *predict_arguments(training, benchmark, settings, checkpoint, predictions)]
    inputs = _inputs(training, benchmark, settings, checkpoint)
    return once(folder / "done.json", inputs, [predict, score], folder, result.is_file())
