"""Stages that are not trainings: check, labels, evaluate, submit."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from flowdistill.data import read_split
from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.recipes.commands import config_arguments, finished, read_json, run
from flowdistill.recipes.reproduce.arguments import predict_arguments
from flowdistill.recipes.reproduce.cards import has_card, kitti_split, write_stage_card
from flowdistill.recipes.reproduce.marks import leave, stored
from flowdistill.recipes.reproduce.settings import PROXY, Settings
from flowdistill.recipes.reproduce.stages import SMOKE, SUBMITTED, TRAININGS, Training
from flowdistill.tracking import file_record, now

FLOWDISTILL, LIGHTNING = "flowdistill.cli.flowdistill", "flowdistill.cli.lightning"
LABELLED = "data_splits/kitti_multiview.txt"
# Some labels of FlyingThings3D really are NaN or implausibly large; training ignores the former.
HARMLESS = {"non_finite", "out_of_range"}


def run_other(stage: str, settings: Settings) -> None:
    """Run the unfinished part of a stage that is not a training.

    Raises:
        UserError: the stage failed.
    """
    {"check": check, "labels": labels, "evaluate": evaluate, "submit": submit}[stage](settings)


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
    started, counts, commands, reports = now(), {}, [], []
    for name, (config, root) in parts.items():
        report = folder / f"{name}.json"
        report.unlink(missing_ok=True)
        command = ["data", "check", "--config", config, "--root", str(root), "--json", str(report)]
        commands.append(command)
        reports.append(report)
        run(FLOWDISTILL, command, allowed=(0, 1))
        content = read_json(report)
        if content is None:
            raise UserError(f"`flowdistill data check` of {root} failed; its message is above")
        problems = content["problems"]
        kinds = Counter(problem["kind"] for problem in problems)
        harmless = HARMLESS if name == "things" else set()
        # A warning may be a false positive: it is in the report, but does not stop the recipe.
        if bad := sum(p["severity"] == "error" and p["kind"] not in harmless for p in problems):
            raise UserError(
                f"the data under {root} have {bad} problems, listed in {report}; fix them, and start again. To skip "
                "the check, select the other stages with STAGES="
            )
        counts[name] = dict(kinds)
    metrics = {f"{name}/{kind}": float(n) for name, kinds in counts.items() for kind, n in kinds.items()}
    write_stage_card("check", settings, commands, started, metrics, reports, config=inputs)
    leave(folder / "done.json", inputs, commands)


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
        print(f"done before: {settings.kitti / PROXY}")
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
    write_stage_card(
        "labels",
        settings,
        [command],
        started,
        label_numbers(found),
        [report],
        config=found["settings"],
        splits={"labelled": kitti_split(settings, LABELLED)},
    )
    leave(mark, inputs, [command])


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
    numbers = {}
    for motion, block in report["motions"].items():
        for name in ("density", "outliers"):
            if block.get(name) is not None:
                numbers[f"{motion}/{name}"] = 100 * float(block[name])
    return numbers


def evaluate(settings: Settings) -> None:
    """Compute KITTI's official counts for every finished network, on scenes that it was not trained on.

    Raises:
        UserError: no network is finished.
    """
    scored = [training for training in TRAININGS.values() if training.scored_on is not None]
    done = {training.name: finished(settings.folder(training.name)) for training in scored}
    if not any(done.values()):
        raise UserError(
            'evaluate: no network is trained yet; select a training, such as STAGES="pretrain evaluate"'
        )
    started = now()
    commands: list[list[str]] = []
    metrics: dict[str, float] = {}
    new = False
    for training in scored:
        checkpoint = done[training.name]
        if checkpoint is None:
            print(f"{training.name} is not finished and not evaluated")
            continue
        ran, is_new = _score(training, settings, checkpoint)
        commands += ran
        new |= is_new
        counts = pooled(training, settings)
        assert counts is not None
        metrics |= {
            f"{training.name}/{metric}": 100 * block["all"]["rate"] for metric, block in counts.items()
        }
    if new or not has_card("evaluate", settings):
        networks = {name: checkpoint for name, checkpoint in done.items() if checkpoint is not None}
        splits = {
            str(training.scored_on): kitti_split(settings, str(training.scored_on)) for training in scored
        }
        results = [settings.folder("evaluate") / name / "result.json" for name in networks]
        write_stage_card(
            "evaluate", settings, commands, started, metrics, results, inputs=networks, splits=splits
        )


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
    return {
        "weights": file_record(checkpoint)["sha256"],
        "data": str(settings.kitti.resolve()),
        "split": find(training.scored_on).read_text(),
    }


def _score(training: Training, settings: Settings, checkpoint: Path) -> tuple[list[list[str]], bool]:
    """Predict and count, unless done for these weights; return the commands, and whether they ran just now."""
    assert training.scored_on is not None
    folder = settings.folder("evaluate") / training.name
    result, predictions = folder / "result.json", folder / "predictions"
    inputs = _inputs(training, settings, checkpoint)
    before = stored(folder / "done.json", inputs)
    if before is not None and result.is_file():
        print(f"done before: {folder}")
        return before, False
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
    leave(folder / "done.json", inputs, [predict, score])
    return [predict, score], True


def submit(settings: Settings) -> None:
    """Create checked archives for KITTI's server, of the final DWARF and of DDFlow's student.

    Raises:
        UserError: neither is finished.
    """
    found = {name: finished(settings.folder(name)) for name in SUBMITTED}
    checkpoints = {name: checkpoint for name, checkpoint in found.items() if checkpoint is not None}
    if not checkpoints:
        raise UserError(f"submit: neither {' nor '.join(SUBMITTED)} is finished")
    for name in found.keys() - checkpoints.keys():
        print(f"{name} is not finished and not submitted")
    folder = settings.folder("submit")
    folder.mkdir(parents=True, exist_ok=True)
    started, commands, new = now(), [], False
    archives = {name: folder / f"{name}_{SUBMITTED[name]}.zip" for name in checkpoints}
    for name, checkpoint in checkpoints.items():
        mark = folder / f"{name}.json"
        inputs = {"weights": file_record(checkpoint)["sha256"], "data": str(settings.kitti.resolve())}
        before = stored(mark, inputs)
        if before is not None and archives[name].is_file():
            print(f"done before: {archives[name]}")
            commands += before
            continue
        archives[name].unlink(missing_ok=True)
        command = _submission(name, settings, checkpoint, archives[name])
        run(FLOWDISTILL, command)
        leave(mark, inputs, [command])
        commands.append(command)
        new = True
    if new or not has_card("submit", settings):
        made = list(archives.values())
        write_stage_card("submit", settings, commands, started, {}, made, inputs=checkpoints)


def _submission(name: str, settings: Settings, checkpoint: Path, archive: Path) -> list[str]:
    return [
        "submit", "kitti2015",
        "--task", SUBMITTED[name],
        "--checkpoint", str(checkpoint),
        "--root", str(settings.kitti),
        "--output", str(archive),
        "--device", "cpu" if settings.smoke or settings.accelerator == "cpu" else "cuda",
    ]  # fmt: skip
