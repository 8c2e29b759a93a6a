"""The stages that are no training: check, labels, evaluate, submit."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowdistill.errors import UserError
from flowdistill.recipes.commands import config_arguments, finished, run
from flowdistill.recipes.reproduce.arguments import predict_arguments
from flowdistill.recipes.reproduce.cards import has_card, write_stage_card
from flowdistill.recipes.reproduce.marks import leave, stored
from flowdistill.recipes.reproduce.settings import PROXY, Settings
from flowdistill.recipes.reproduce.stages import SMOKE, SUBMITTED, TRAININGS, Training
from flowdistill.tracking import file_record, now

FLOWDISTILL, LIGHTNING = "flowdistill.cli.flowdistill", "flowdistill.cli.lightning"
LABELLED = "data_splits/kitti_multiview.txt"
# Some labels of FlyingThings3D really are NaN, or too large to be believed; training leaves the former out.
HARMLESS = {"non_finite", "out_of_range"}


def run_other(stage: str, settings: Settings) -> None:
    """Do a stage that is no training, as far as it is not done.

    Raises:
        UserError: what went wrong.
    """
    {"check": check, "labels": labels, "evaluate": evaluate, "submit": submit}[stage](settings)


def check(settings: Settings) -> None:
    """Open every file of the data sets that are there. NaN in FlyingThings3D is no more than noted."""
    folder = settings.folder("check")
    parts = {"kitti": ("configs/data/kitti.yaml", settings.kitti)}
    if settings.things.is_dir():
        parts["things"] = (settings.things_config, settings.things)
    else:
        print(f"{settings.things} is not there and not checked")
    inputs = {name: [config, str(root)] for name, (config, root) in parts.items()}
    if stored(folder / "done.json", inputs) is not None:
        print(f"done before: {folder}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    started, counts, commands = now(), {}, []
    for name, (config, root) in parts.items():
        report = folder / f"{name}.json"
        report.unlink(missing_ok=True)
        command = ["data", "check", "--config", config, "--root", str(root), "--json", str(report)]
        commands.append(command)
        run(FLOWDISTILL, command, allowed=(0, 1))
        kinds = Counter(problem["kind"] for problem in json.loads(report.read_text())["problems"])
        harmless = HARMLESS if name == "things" else set()
        if bad := sum(count for kind, count in kinds.items() if kind not in harmless):
            raise UserError(
                f"the data under {root} have {bad} problems, which {report} lists; mend them, and start again. To "
                "leave the check out, pick the other stages by STAGES="
            )
        counts[name] = dict(kinds)
    metrics = {f"{name}/{kind}": float(n) for name, kinds in counts.items() for kind, n in kinds.items()}
    write_stage_card("check", settings, commands, started, metrics, [])
    leave(folder / "done.json", inputs, counts)


def labels(settings: Settings) -> None:
    """Proxy labels by semi-global matching and DIS flow, into KITTI's folder, where the splits look for them."""
    configs = label_configs(settings)
    mark = settings.folder("labels") / "done.json"
    report = settings.kitti / PROXY / "report.json"
    inputs = {
        "root": str(settings.kitti),
        "configs": {path: Path(path).read_text() for path in configs},
        "split": Path(LABELLED).read_text(),
    }
    if stored(mark, inputs) is not None and report.is_file():
        print(f"done before: {settings.kitti / PROXY}")
        return
    started = now()
    command = [
        "labels", "make", *config_arguments(configs),
        "--root", str(settings.kitti),
        "--split", LABELLED,
        "--output", PROXY,
        "--workers", str(os.cpu_count() or 1),
    ]  # fmt: skip
    run(FLOWDISTILL, command)
    found = json.loads(report.read_text())
    write_stage_card("labels", settings, [command], started, label_numbers(found), [report])
    leave(mark, inputs, {"report": str(report)})


def label_configs(settings: Settings) -> list[str]:
    """Of `labels make`; later ones win."""
    return ["configs/labels/opencv.yaml", *([f"{SMOKE}/labels.yaml"] if settings.smoke else [])]


def label_numbers(report: dict[str, Any]) -> dict[str, float]:
    """A label report's density of each motion after the filter and, where there is truth, its outliers; percent."""
    numbers = {}
    for motion, block in report["motions"].items():
        for name in ("density", "outliers"):
            if block.get(name) is not None:
                numbers[f"{motion}/{name}"] = 100 * float(block[name])
    return numbers


def evaluate(settings: Settings) -> None:
    """KITTI's official counts for every network that is done, on scenes that it was not trained on.

    Raises:
        UserError: no network is done.
    """
    scored = [training for training in TRAININGS.values() if training.scored_on is not None]
    done = {training.name: finished(settings.folder(training.name)) for training in scored}
    if not any(done.values()):
        raise UserError(
            'evaluate: no network is trained yet; pick a training, such as STAGES="pretrain evaluate"'
        )
    started = now()
    commands: list[list[str]] = []
    metrics: dict[str, float] = {}
    made: list[Path] = []
    for training in scored:
        checkpoint = done[training.name]
        if checkpoint is None:
            print(f"{training.name} is not done and not evaluated")
            continue
        result, new = _score(training, settings, checkpoint)
        commands += new
        made.append(result)
        pooled = json.loads(result.read_text())["pooled"]
        metrics |= {
            f"{training.name}/{metric}": 100 * block["all"]["rate"] for metric, block in pooled.items()
        }
    if commands or not has_card("evaluate", settings):
        write_stage_card("evaluate", settings, commands, started, metrics, made)


def _score(training: Training, settings: Settings, checkpoint: Path) -> tuple[Path, list[list[str]]]:
    """Predict and count, unless it is done for these weights; returns the result's file and what was run."""
    assert training.scored_on is not None
    folder = settings.folder("evaluate") / training.name
    result, predictions = folder / "result.json", folder / "predictions"
    inputs = {"weights": file_record(checkpoint)["sha256"], "split": Path(training.scored_on).read_text()}
    if stored(folder / "done.json", inputs) is not None and result.is_file():
        print(f"done before: {folder}")
        return result, []
    if folder.exists():
        shutil.rmtree(folder)
    predict = ["predict", *predict_arguments(training, settings, checkpoint, predictions)]
    run(LIGHTNING, predict)
    score = [
        "evaluate", "kitti",
        "--predictions", str(predictions),
        "--ground-truth", str(settings.kitti / "training"),
        "--split", training.scored_on,
        "--json", str(result),
        "--workers", str(os.cpu_count() or 1),
    ]  # fmt: skip
    run(FLOWDISTILL, score)
    leave(folder / "done.json", inputs, {"result": str(result)})
    return result, [predict, score]


def submit(settings: Settings) -> None:
    """Checked archives for KITTI's server, of the final DWARF and of DDFlow's student.

    Raises:
        UserError: neither is done.
    """
    checkpoints = {name: finished(settings.folder(name)) for name in SUBMITTED}
    if not any(checkpoints.values()):
        raise UserError(f"submit: neither of {' and '.join(SUBMITTED)} is done")
    folder = settings.folder("submit")
    folder.mkdir(parents=True, exist_ok=True)
    started, commands, made = now(), [], []
    for name, checkpoint in checkpoints.items():
        if checkpoint is None:
            print(f"{name} is not done and not submitted")
            continue
        archive, mark = folder / f"{name}_{SUBMITTED[name]}.zip", folder / f"{name}.json"
        inputs = {"weights": file_record(checkpoint)["sha256"]}
        made.append(archive)
        if stored(mark, inputs) is not None and archive.is_file():
            print(f"done before: {archive}")
            continue
        archive.unlink(missing_ok=True)
        command = _submission(name, settings, checkpoint, archive)
        run(FLOWDISTILL, command)
        leave(mark, inputs, {"archive": str(archive), "sha256": file_record(archive)["sha256"]})
        commands.append(command)
    if commands or not has_card("submit", settings):
        write_stage_card("submit", settings, commands, started, {}, made)


def _submission(name: str, settings: Settings, checkpoint: Path, archive: Path) -> Sequence[str]:
    return [
        "submit", "kitti2015",
        "--task", SUBMITTED[name],
        "--checkpoint", str(checkpoint),
        "--root", str(settings.kitti),
        "--output", str(archive),
        "--device", "cpu" if settings.smoke or settings.accelerator == "cpu" else "cuda",
    ]  # fmt: skip
