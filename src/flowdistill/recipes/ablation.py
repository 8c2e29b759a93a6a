"""`make ablation`: small-scale version of DWARF's ablation. Few true labels, many proxy labels, or both, in a second
rendered domain?

OUTPUT/seedN/data/                    rendered scenes of the second domain; data/proxy/ contains OpenCV's labels
OUTPUT/seedN/gt/ px/ gt_px/           the runs, each with its predictions/ and scores.json
OUTPUT/seedN/start/ reference/        scores of the checkpoint before adaptation; of baselines and proxy labels
OUTPUT/seedN/overview.png             held-out scenes: true disparity, predictions, errors
OUTPUT/table.md table.json            over the requested seeds
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically, write_image
from flowdistill.recipes.ablation_report import GT, GT_PX, PROXY, PX, START, Scores, claim, table
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
    train,
)
from flowdistill.recipes.overview import Draw, error_map, left, motion, overview
from flowdistill.recipes.scores import baselines, predictions, proxy_labels, rendered_scenes, score
from flowdistill.recipes.side_by_side import side_by_side

#: Folder of the proxy labels inside the data folder, as used in the splits.
PROXY_FOLDER = "proxy"
#: Folder of predictions -> name in the table.
NAMES = {"start": START, "gt": GT, "px": PX, "gt_px": GT_PX}


@dataclass(frozen=True)
class Ablation:
    """Settings of rendering and training.

    Attributes:
        rendering: options of `flowdistill data render`.
        model: config of the model and the steps of a run.
        data: config of the data, on top of the renderer's.
        labels: config of `flowdistill labels make`.
        splits: run -> its training split.
        train: split whose mean motion is a baseline; proxy labels are also scored on it.
        val: split of the held-out scenes.
    """

    rendering: str = "--world street --scenes 256 --frames 3 --size 64x128 --layout kitti2015"
    model: str = "configs/demo/ablation/adapt.yaml"
    data: str = "configs/demo/ablation/data.yaml"
    labels: str = "configs/demo/labels.yaml"
    splits: dict[str, str] = field(
        default_factory=lambda: {name: f"data_splits/rendered_{name}.txt" for name in ("gt", "px", "gt_px")}
    )
    train: str = TRAIN_SPLIT
    val: str = VAL_SPLIT


def run_ablation(
    output: Path, checkpoint: Path, seeds: Sequence[int], jobs: int = 1, ablation: Ablation | None = None
) -> None:
    """Run all seeds into `output` and print the table, whatever the result. Finished parts are skipped.

    Args:
        output: output folder.
        checkpoint: the pre-trained DWARF that every run starts from.
        seeds: seeds of the data and of the sample order.
        jobs: number of parallel runs.
        ablation: by default, a small version of the published one.

    Raises:
        UserError: a config, a split or the checkpoint is missing, or a command failed.
    """
    what = ablation or Ablation()
    check_folder("ablation", [what.model, what.data, what.labels, *what.splits.values()])
    if not checkpoint.is_file():
        raise UserError(f"--checkpoint: there is no file {checkpoint}")
    started = time.monotonic()
    folders = {seed: output / f"seed{seed}" for seed in seeds}
    for seed, folder in folders.items():
        _prepare(what, folder, seed)
    fits = {
        f"seed{seed}/{name}": partial(fit_one, what, folder, name, seed, checkpoint)
        for seed, folder in folders.items()
        for name in what.splits
    }
    adapted = side_by_side(fits, jobs)
    scores: dict[int, Scores] = {}
    for seed, folder in folders.items():
        trained = {name: adapted[f"seed{seed}/{name}"] for name in what.splits}
        scores[seed] = _score_seed(what, folder, checkpoint, trained)
        _draw(what, folder)
    text = f"{table(scores)}\n{claim(scores)}\n"
    write_atomically(output / "table.json", json.dumps(scores, indent=2).encode())
    write_atomically(output / "table.md", text.encode())
    print(text)
    print(f"pictures: {output}/seed*/overview.png")
    print(f"the ablation took {(time.monotonic() - started) / 60:.1f} minutes")


def rendering(what: Ablation, seed: int) -> str:
    """Return the options of `flowdistill data render` for a seed's scenes."""
    return f"{what.rendering} --seed {seed}"


def _prepare(what: Ablation, folder: Path, seed: int) -> None:
    """Create the seed's scenes and their proxy labels."""
    data = folder / "data"
    render(data, rendering(what, seed))
    labels, settings = data / PROXY_FOLDER, find(what.labels).read_text()
    mark = folder / "labels.done"
    if mark.is_file() and mark.read_text() == settings and (labels / "report.json").is_file():
        print(f"proxy labels exist: {labels}")
        return
    if mark.is_file() and labels.exists():
        shutil.rmtree(labels)  # complete, but from another config; incomplete ones are completed
    mark.unlink(missing_ok=True)
    arguments = ["--config", what.labels, "--root", str(data), "--split", what.splits["px"]]
    run(
        "flowdistill.cli.flowdistill",
        ["labels", "make", *arguments, "--output", PROXY_FOLDER, "--workers", "2"],
    )
    write_atomically(mark, settings.encode())


def fit_one(what: Ablation, folder: Path, name: str, seed: int, checkpoint: Path) -> Path:
    """Train one run of a seed unless it is done; return its last checkpoint.

    Raises:
        UserError: the run failed, or was started with other settings, weights, data or labels.
    """
    made = [folder / "data.done", folder / "labels.done"]
    return adapt(what, folder / name, folder / "data", what.splits[name], seed, checkpoint, made)


def adapt(
    what: Ablation,
    folder: Path,
    data: Path,
    split: str,
    seed: int,
    checkpoint: Path,
    made: Sequence[Path],
    patches: Sequence[str] = (),
) -> Path:
    """Train into `folder` from a checkpoint unless that is done; return the last checkpoint.

    Args:
        what: settings of the ablation.
        folder: of the run.
        data: the data folder.
        split: training split.
        seed: of the sample order.
        checkpoint: initial weights.
        made: files whose content says what the data are.
        patches: additional configs.

    Raises:
        UserError: the run failed, or was started with other settings, weights or data.
    """
    arguments = [
        *config_arguments([what.model, DATA_CONFIG, TRAINER_CONFIG, what.data, *patches]),
        "--data.init_args.root", str(data),
        "--data.init_args.scene_flow.train_split", split,
        "--data.init_args.scene_flow.val_split", what.val,
        "--data.init_args.seed", str(seed),
        "--seed_everything", str(seed),
        "--model.init_args.init_from", str(checkpoint),
    ]  # fmt: skip
    return train(folder, arguments, files=[checkpoint, *made], neutral=["--model.init_args.init_from"])


def _score_seed(what: Ablation, folder: Path, start: Path, adapted: dict[str, Path]) -> Scores:
    """Return method -> errors: baselines, the checkpoint before adaptation, the adapted ones, the proxy labels."""
    data = folder / "data"
    marks = [folder / "data.done", folder / "labels.done"]
    scores = once(folder / "reference", marks, partial(_reference, what, data))
    for name, checkpoint in {"start": start, **adapted}.items():
        compute = partial(predicted, what, data, checkpoint, folder / name, NAMES[name])
        scores |= once(folder / name, [*marks, checkpoint], compute)
    scores[PROXY] = scores.pop(PROXY)  # last
    return scores


def _draw(what: Ablation, folder: Path) -> None:
    columns: dict[str, Draw] = {"left_t0": left, "true disparity": motion("disparity_t0")}
    for name, title in NAMES.items():
        found = folder / name / "predictions"
        columns |= {title: motion("disparity_t0", found), f"{title}: error": error_map(found, "disp_0_error")}
    write_image(folder / "overview.png", overview(rendered_scenes(folder / "data", what.val), columns))


def _reference(what: Ablation, data: Path) -> Scores:
    train_, val = rendered_scenes(data, what.train), rendered_scenes(data, what.val)
    scores = {name: score(val, guess) for name, guess in baselines(train_).items()}
    return scores | {PROXY: score(train_, proxy_labels(data / PROXY_FOLDER))}


def predicted(what: Ablation, data: Path, checkpoint: Path, folder: Path, title: str) -> Scores:
    """Predict the held-out scenes with a checkpoint; return title -> errors."""
    found = folder / "predictions"
    options = [*config_arguments([what.data]), "--data.init_args.scene_flow.val_split", what.val]
    predict(what.model, data, checkpoint, found, options)
    return {title: score(rendered_scenes(data, what.val), predictions(found))}


def once(folder: Path, inputs: Sequence[Path], compute: Callable[[], Scores]) -> Scores:
    """Return the content of folder/scores.json; it is recomputed if it was made from other files."""
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
