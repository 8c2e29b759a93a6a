"""Stages that are not trainings: check, labels, evaluate, submit."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowdistill.data import read_split
from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.recipes.commands import config_arguments, finished, read_json, run
from flowdistill.recipes.reproduce.arguments import predict_arguments
from flowdistill.recipes.reproduce.cards import Done, kitti_split, write_stage_card
from flowdistill.recipes.reproduce.settings import PROXY, Settings
from flowdistill.recipes.reproduce.stages import SMOKE, SUBMITTED, TRAININGS, Training
from flowdistill.tracking import file_record, now

FLOWDISTILL, LIGHTNING = "flowdistill.cli.flowdistill", "flowdistill.cli.lightning"
LABELLED = "data_splits/kitti_multiview.txt"
# Some labels of FlyingThings3D really are NaN or implausibly large; training ignores the former.
HARMLESS = {"non_finite", "out_of_range"}


def check(settings: Settings) -> None:
    """Open every file of the existing data sets. Known problems of FlyingThings3D are only noted."""
    folder = settings.folder("check")
    parts = {"kitti": ("configs/data/kitti.yaml", settings.kitti)}
    if settings.things.is_dir():
        parts["things"] = (settings.things_config, settings.things)
    else:
        print(f"{settings.things} does not exist and is not checked")
    inputs = {name: [config, str(root)] for name, (config, root) in parts.items()}
    if stored(folder / "done.json", inputs) is not None:
        print(f"done before: {folder}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    started, commands, reports = now(), [], []
    metrics: dict[str, float] = {}
    for name, (config, root) in parts.items():
        report = folder / f"{name}.json"
        report.unlink(missing_ok=True)
        reports.append(report)
        commands.append(["data", "check", "--config", config, "--root", str(root), "--json", str(report)])
        run(FLOWDISTILL, commands[-1], allowed=(0, 1))
        content = read_json(report)
        if content is None:
            raise UserError(f"`flowdistill data check` of {root} failed; its message is above")
        problems = content["problems"]
        harmless = HARMLESS if name == "things" else set()
        # A warning may be a false positive: it is in the report, but does not stop the recipe.
        if bad := sum(p["severity"] == "error" and p["kind"] not in harmless for p in problems):
            raise UserError(
                f"the data under {root} have {bad} problems, listed in {report}; fix them, and start again. To skip "
                "the check, select the other stages with STAGES="
            )
        counts = Counter(problem["kind"] for problem in problems)
        metrics |= {f"{name}/{kind}": float(number) for kind, number in counts.items()}
    done = [Done(commands, is_new=True)]
    write_stage_card("check", settings, done, started, metrics, reports, config=inputs)
    _leave(folder / "done.json", inputs, commands)


def labels(settings: Settings) -> None:
    """Generate proxy labels by semi-global matching and DIS flow in KITTI's folder, where the splits expect them."""
    chosen = label_configs(settings)
    mark = settings.folder("labels") / "done.json"
    report = settings.kitti / PROXY / "report.json"
    inputs = {
        "root": str(settings.kitti),
        "configs": {path: find(path).read_text() for path in chosen},
        "split": find(LABELLED).read_text(),
    }
    if stored(mark, inputs) is not None and report.is_file() and labels_are_there(settings):
        print(f"done before: {report.parent}")
        return
    started = now()
    command = [
        "labels", "make", *config_arguments(chosen),
        "--root", str(settings.kitti),
        "--split", LABELLED,
        "--output", PROXY,
        "--workers", str(os.cpu_count() or 1),
    ]  # fmt: skip
    run(FLOWDISTILL, command)
    found = read_json(report)
    assert found is not None
    done, numbers = [Done([command], is_new=True)], label_numbers(found)
    splits = {"labelled": kitti_split(settings, LABELLED)}
    write_stage_card(
        "labels", settings, done, started, numbers, [report], config=found["settings"], splits=splits
    )
    _leave(mark, inputs, [command])


def label_configs(settings: Settings) -> list[str]:
    """Return the configs of `labels make`; later ones take precedence."""
    return ["configs/labels/opencv.yaml", *([f"{SMOKE}/labels.yaml"] if settings.smoke else [])]


def labels_are_there(settings: Settings) -> bool:
    """Whether there are labels of any origin for the first and the last frame that a training reads."""
    entries = read_split(LABELLED)
    folder = settings.kitti / PROXY / "left"
    return all(
        (folder / motion / f"{entry.id}.png").is_file()
        for entry in (entries[0], entries[-1])
        for motion in ("flow", "disp_0", "disp_1")
    )


def label_numbers(report: dict[str, Any]) -> dict[str, float]:
    """Return a label report's density per motion after filtering and, with ground truth, its outliers; percent."""
    return {
        f"{motion}/{name}": 100 * float(block[name])
        for motion, block in report["motions"].items()
        for name in ("density", "outliers")
        if block.get(name) is not None
    }


def evaluate(settings: Settings) -> None:
    """Compute KITTI's official counts for every finished network, on scenes that it was not trained on.

    Raises:
        UserError: no network is finished.
    """
    scored = [training for training in TRAININGS.values() if training.scored_on is not None]
    networks = _finished(
        [training.name for training in scored],
        settings,
        "evaluated",
        'evaluate: no network is trained yet; select a training, such as STAGES="pretrain evaluate"',
    )
    started = now()
    done = [_score(TRAININGS[name], settings, checkpoint) for name, checkpoint in networks.items()]
    metrics = {
        f"{name}/{metric}": 100 * block["all"]["rate"]
        for name in networks
        for metric, block in (pooled(TRAININGS[name], settings) or {}).items()
    }
    splits = {str(t.scored_on): kitti_split(settings, str(t.scored_on)) for t in scored}
    results = [settings.folder("evaluate") / name / "result.json" for name in networks]
    write_stage_card("evaluate", settings, done, started, metrics, results, networks, splits=splits)


def pooled(training: Training, settings: Settings) -> dict[str, Any] | None:
    """Return the pooled counts of a network's current weights; None if it is unfinished or not evaluated with them.

    Raises:
        UserError: a file of the evaluation is damaged.
    """
    checkpoint = finished(settings.folder(training.name))
    folder = settings.folder("evaluate") / training.name
    if checkpoint is None or training.scored_on is None:
        return None
    if stored(folder / "done.json", _inputs(training, settings, checkpoint)) is None:
        return None
    result = read_json(folder / "result.json")
    return None if result is None else dict(result["pooled"])


def _inputs(training: Training, settings: Settings, checkpoint: Path) -> dict[str, Any]:
    assert training.scored_on is not None
    split = find(training.scored_on).read_text()
    return {**_weights_and_data(settings, checkpoint), "split": split}


def _weights_and_data(settings: Settings, checkpoint: Path) -> dict[str, Any]:
    return {"weights": file_record(checkpoint)["sha256"], "data": str(settings.kitti.resolve())}


def _score(training: Training, settings: Settings, checkpoint: Path) -> Done:
    """Predict and count, unless done for these weights."""
    assert training.scored_on is not None
    folder = settings.folder("evaluate") / training.name
    result, predictions = folder / "result.json", folder / "predictions"
    score = [
        "evaluate", "kitti",
        "--predictions", str(predictions),
        "--ground-truth", str(settings.kitti / "training"),
        "--split", training.scored_on,
        "--json", str(result),
        "--workers", str(os.cpu_count() or 1),
    ]  # fmt: skip
    predict = ["predict", *predict_arguments(training, settings, checkpoint, predictions)]
    inputs = _inputs(training, settings, checkpoint)
    return _once(folder / "done.json", inputs, [predict, score], folder, result.is_file())


def submit(settings: Settings) -> None:
    """Create checked archives for KITTI's server, of the final DWARF and of DDFlow's student.

    Raises:
        UserError: neither is finished.
    """
    nothing = f"submit: neither {' nor '.join(SUBMITTED)} is finished"
    networks = _finished(SUBMITTED, settings, "submitted", nothing)
    started, folder, done = now(), settings.folder("submit"), []
    archives = {name: folder / f"{name}_{SUBMITTED[name]}.zip" for name in networks}
    for name, archive in archives.items():
        command = [
            "submit", "kitti2015",
            "--task", SUBMITTED[name],
            "--checkpoint", str(networks[name]),
            "--root", str(settings.kitti),
            "--output", str(archive),
            "--device", "cpu" if settings.smoke or settings.accelerator == "cpu" else "cuda",
        ]  # fmt: skip
        inputs = _weights_and_data(settings, networks[name])
        done.append(_once(folder / f"{name}.json", inputs, [command], archive, archive.is_file()))
    write_stage_card("submit", settings, done, started, {}, list(archives.values()), networks)


def _once(mark: Path, inputs: dict[str, Any], commands: list[list[str]], made: Path, exists: bool) -> Done:
    """Run commands unless their completion marker has the same inputs and the output exists.

    Args:
        mark: the completion marker.
        inputs: what the output depends on.
        commands: `lightning predict`, or of `flowdistill`.
        made: the output; one that is incomplete, or of other inputs, is deleted.
        exists: whether it is complete.
    """
    before = stored(mark, inputs)
    if before is not None and exists:
        print(f"done before: {made}")
        return Done(before, False)
    if made.is_dir():
        shutil.rmtree(made)
    made.unlink(missing_ok=True)
    mark.parent.mkdir(parents=True, exist_ok=True)
    for command in commands:
        run(LIGHTNING if command[0] == "predict" else FLOWDISTILL, command)
    _leave(mark, inputs, commands)
    return Done(commands, True)


def stored(mark: Path, inputs: dict[str, Any]) -> list[list[str]] | None:
    """Return a stage's commands if its completion marker exists and has the same inputs.

    Raises:
        UserError: the marker is damaged.
    """
    content = read_json(mark)
    if content is None or content.get("inputs") != inputs:
        return None
    commands: list[list[str]] = content["commands"]
    return commands


def _leave(mark: Path, inputs: dict[str, Any], commands: list[list[str]]) -> None:
    mark.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(mark, json.dumps({"inputs": inputs, "commands": commands}, indent=1).encode())


def _finished(names: Iterable[str], settings: Settings, done: str, nothing: str) -> dict[str, Path]:
    """Return the finished ones of these trainings with their checkpoints; `nothing` is the error if there are none."""
    found = {name: finished(settings.folder(name)) for name in names}
    if not any(found.values()):
        raise UserError(nothing)
    for name, checkpoint in found.items():
        if checkpoint is None:
            print(f"{name} is not finished and not {done}")
    return {name: checkpoint for name, checkpoint in found.items() if checkpoint is not None}


#: Stages that are not trainings -> functions that run their unfinished part, or raise UserError.
RUN_OTHER = {"check": check, "labels": labels, "evaluate": evaluate, "submit": submit}
