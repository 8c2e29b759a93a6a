"""Stages before the trainings: the check of the data, and DWARF's proxy labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flowdistill.data import read_split
from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.recipes import commands
from flowdistill.recipes.commands import config_arguments, read_json
from flowdistill.recipes.reproduce.cards import split_record, write_stage_card
from flowdistill.recipes.reproduce.marks import FLOWDISTILL, Done, leave, stored
from flowdistill.recipes.reproduce.settings import PROXY, Settings
from flowdistill.recipes.reproduce.stages import CHECKED, SMOKE
from flowdistill.recipes.side_by_side import cores
from flowdistill.tracking import now

LABELLED = "data_splits/kitti_multiview.txt"
# Some labels of FlyingThings3D really are NaN or implausibly large; training ignores the former.
HARMLESS = {"non_finite", "out_of_range"}


def check(settings: Settings, stage: str) -> None:
    """Open every file of the existing data sets. Known problems of FlyingThings3D are only noted."""
    folder = settings.folder(stage)
    inputs: dict[str, list[str]] = {}
    for data in CHECKED[stage]:
        if data == CHECKED[stage][0] or settings.root(data).is_dir():
            inputs[data] = [settings.config(data), str(settings.root(data))]
        else:
            print(f"{settings.root(data)} does not exist and is not checked")
    if stored(folder / "done.json", dict(inputs)) is not None:
        print(f"done before: {folder}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    started, ran, reports = now(), [], []
    metrics: dict[str, float] = {}
    for name, (config, root) in inputs.items():
        report = folder / f"{name}.json"
        report.unlink(missing_ok=True)
        reports.append(report)
        configs = [
            config,
            *([f"{SMOKE}/scan.yaml"] if settings.smoke and name in ("chairs", "sintel") else []),
        ]
        ran.append(["data", "check", *config_arguments(configs), "--root", root, "--json", str(report)])
        commands.run(FLOWDISTILL, ran[-1], allowed=(0, 1))
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
    done = [Done(ran, is_new=True)]
    write_stage_card(stage, settings, done, started, metrics, reports, config=inputs)
    leave(folder / "done.json", dict(inputs), ran)


def labels(settings: Settings) -> None:
    """Generate proxy labels by semi-global matching and DIS flow in KITTI's folder, where the splits expect them."""
    chosen = label_configs(settings)
    mark = settings.folder("labels") / "done.json"
    report = settings.root("kitti") / PROXY / "report.json"
    inputs = {
        "root": str(settings.root("kitti")),
        "configs": {path: find(path).read_text() for path in chosen},
        "split": find(LABELLED).read_text(),
    }
    if stored(mark, inputs) is not None and report.is_file() and labels_are_there(settings):
        print(f"done before: {report.parent}")
        return
    started = now()
    command = [
        "labels", "make", *config_arguments(chosen),
        "--root", str(settings.root("kitti")),
        "--split", LABELLED,
        "--output", PROXY,
        "--workers", str(max(1, cores() // len(settings.places))),
    ]  # fmt: skip
    commands.run(FLOWDISTILL, command)
    found = read_json(report)
    assert found is not None
    done, numbers = [Done([command], is_new=True)], label_numbers(found)
    splits = {"labelled": split_record("kitti", LABELLED, settings)}
    write_stage_card(
        "labels", settings, done, started, numbers, [report], config=found["settings"], splits=splits
    )
    leave(mark, inputs, [command])


def label_configs(settings: Settings) -> list[str]:
    """Return the configs of `labels make`; later ones take precedence."""
    return ["configs/labels/opencv.yaml", *([f"{SMOKE}/labels.yaml"] if settings.smoke else [])]


def labels_are_there(settings: Settings) -> bool:
    """Whether there are labels of any origin for the first and the last frame that a training reads."""
    entries = read_split(LABELLED)
    folder = settings.root("kitti") / PROXY / "left"
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
