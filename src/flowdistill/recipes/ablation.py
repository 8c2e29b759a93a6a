"""`make ablation`: DWARF's ablation in small. Few true labels, many proxy labels, or both, in a second rendered domain?

OUTPUT/seedN/data/                    rendered scenes of the second domain; data/proxy/ holds OpenCV's labels of them
OUTPUT/seedN/gt/ px/ gt_px/           the runs, each with its predictions/ and scores.json
OUTPUT/seedN/gt.log px.log gt_px.log  what they printed, where several ran at a time
OUTPUT/seedN/start/ reference/        scores of the checkpoint as it is; of baselines and of the proxy labels
OUTPUT/seedN/overview.png             held-back scenes: true disparity, predictions, errors
OUTPUT/table.md table.json            over the seeds that were asked for
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from flowdistill.data import KittiDataset, read_split
from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically, write_image
from flowdistill.recipes.ablation_fit import Fit, fits
from flowdistill.recipes.ablation_picture import overview
from flowdistill.recipes.ablation_report import GT, GT_PX, MEAN, PROXY, PX, START, ZERO, Scores, claim, table
from flowdistill.recipes.ablation_scores import known, read_labels, score
from flowdistill.recipes.commands import (
    DATA_CONFIG,
    TRAIN_SPLIT,
    TRAINER_CONFIG,
    VAL_SPLIT,
    check_folder,
    config_arguments,
    predict,
    render,
    run,
)
from flowdistill.recipes.scores import mean_motions, read_motion, zero_motion

RENDERING = "--world street --scenes 256 --frames 3 --size 64x128 --layout kitti2015"
CONFIG, ABLATION_DATA = "configs/demo/ablation/adapt.yaml", "configs/demo/ablation/data.yaml"
LABELS = "configs/demo/labels.yaml"
#: The folder of the proxy labels under the data, as the splits name it.
PROXY_FOLDER = "proxy"
#: Run -> its split.
SPLITS = {
    "gt": "data_splits/rendered_gt.txt",
    "px": "data_splits/rendered_px.txt",
    "gt_px": "data_splits/rendered_gt_px.txt",
}
#: Folder of predictions -> name in the table.
NAMES = {"start": START, "gt": GT, "px": PX, "gt_px": GT_PX}


def run_ablation(output: Path, checkpoint: Path, seeds: Sequence[int], jobs: int = 1) -> None:
    """Run all seeds into `output` and print the table, whatever it says. What is done there is not redone.

    Args:
        output: folder for everything.
        checkpoint: of the pre-trained DWARF that every run starts from.
        seeds: each of the data and of the order of samples.
        jobs: runs at a time.

    Raises:
        UserError: not started in the repository's root, no checkpoint, or one of its commands failed.
    """
    check_folder("ablation", [CONFIG, ABLATION_DATA, LABELS, *SPLITS.values()])
    if not checkpoint.is_file():
        raise UserError(f"--checkpoint: there is no file {checkpoint}")
    started = time.monotonic()
    folders = {seed: output / f"seed{seed}" for seed in seeds}
    for seed, folder in folders.items():
        _prepare(folder, seed)
    work = [_fit(folder, run_, seed, checkpoint) for seed, folder in folders.items() for run_ in SPLITS]
    adapted = fits(work, jobs)
    scores: dict[int, Scores] = {}
    for seed, folder in folders.items():
        scores[seed] = _score_seed(folder, checkpoint, {run_: next(adapted) for run_ in SPLITS})
        _draw(folder)
        print(f"seed {seed} is done, {(time.monotonic() - started) / 60:.1f} minutes after the start")
    text = f"{table(scores)}\n{claim(scores)}\n"
    write_atomically(output / "table.json", json.dumps(scores, indent=2).encode())
    write_atomically(output / "table.md", text.encode())
    print(text)
    print(f"pictures: {output}/seed*/overview.png")


def _prepare(folder: Path, seed: int) -> None:
    """The seed's scenes and their proxy labels."""
    data = folder / "data"
    render(data, f"{RENDERING} --seed {seed}")
    labels, settings = data / PROXY_FOLDER, find(LABELS).read_text()
    mark = folder / "labels.done"
    if mark.is_file() and mark.read_text() == settings and (labels / "report.json").is_file():
        print(f"proxy labels are there: {labels}")
        return
    if mark.is_file() and labels.exists():
        shutil.rmtree(labels)  # complete, but by another config; incomplete ones are gone on with
    mark.unlink(missing_ok=True)
    arguments = ["--config", LABELS, "--root", str(data), "--split", SPLITS["px"], "--output", PROXY_FOLDER]
    run("flowdistill.cli.flowdistill", ["labels", "make", *arguments, "--workers", "2"])
    write_atomically(mark, settings.encode())


def _fit(folder: Path, run_: str, seed: int, checkpoint: Path) -> Fit:
    arguments = [
        *config_arguments([CONFIG, DATA_CONFIG, TRAINER_CONFIG, ABLATION_DATA]),
        "--data.init_args.root", str(folder / "data"),
        "--data.init_args.scene_flow.train_split", SPLITS[run_],
        "--data.init_args.scene_flow.val_split", VAL_SPLIT,
        "--data.init_args.seed", str(seed),
        "--seed_everything", str(seed),
        "--model.init_args.init_from", str(checkpoint),
    ]  # fmt: skip
    # Other data or other labels are other settings, too.
    return Fit(folder / run_, arguments, [checkpoint, folder / "data.done", folder / "labels.done"])


def _score_seed(folder: Path, start: Path, adapted: dict[str, Path]) -> Scores:
    """Method -> errors: baselines, the checkpoint as it is, the adapted ones, the proxy labels."""
    data = folder / "data"
    marks = [folder / "data.done", folder / "labels.done"]
    scores = _once(folder / "reference", marks, partial(_reference, data))
    for run_, checkpoint in {"start": start, **adapted}.items():
        compute = partial(_predicted, data, checkpoint, folder / run_, NAMES[run_])
        scores |= _once(folder / run_, [*marks, checkpoint], compute)
    scores[PROXY] = scores.pop(PROXY)  # last
    return scores


def _draw(folder: Path) -> None:
    val = KittiDataset(str(folder / "data"), read_split(VAL_SPLIT), "scene_flow", labels=True)
    predictions = {name: folder / run_ / "predictions" for run_, name in NAMES.items()}
    write_image(folder / "overview.png", overview(val, predictions))


def _reference(data: Path) -> Scores:
    val = KittiDataset(str(data), read_split(VAL_SPLIT), "scene_flow", labels=True)
    train = KittiDataset(str(data), read_split(TRAIN_SPLIT), "scene_flow", labels=True)
    means = mean_motions(train)
    return {
        ZERO: score(val, lambda name, motion: known(zero_motion(name, motion))),
        MEAN: score(val, lambda _, motion: known(means[motion].view(1, -1, 1, 1))),
        PROXY: score(train, partial(read_labels, data / PROXY_FOLDER)),
    }


def _predicted(data: Path, checkpoint: Path, folder: Path, name: str) -> Scores:
    predictions = folder / "predictions"
    options = [*config_arguments([ABLATION_DATA]), "--data.init_args.scene_flow.val_split", VAL_SPLIT]
    predict(CONFIG, data, checkpoint, predictions, options)
    val = KittiDataset(str(data), read_split(VAL_SPLIT), "scene_flow", labels=True)
    return {name: score(val, lambda sample, motion: known(read_motion(predictions, sample, motion)))}


def _once(folder: Path, inputs: Sequence[Path], compute: Callable[[], Scores]) -> Scores:
    """What folder/scores.json holds, if it was made from these very files; else it is made."""
    made_from = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs}
    path = folder / "scores.json"
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored["made_from"] == made_from:
            print(f"scored before: {folder}")
            return cast(Scores, stored["scores"])
    scores = compute()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"made_from": made_from, "scores": scores}, indent=2).encode())
    return scores
