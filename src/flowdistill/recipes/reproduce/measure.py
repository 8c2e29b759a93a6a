"""How long a step takes and what it leaves, measured: the real commands on a few rendered frames of the real size."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from flowdistill.formats import write_atomically
from flowdistill.recipes.commands import config_arguments, last_checkpoint, render, run
from flowdistill.recipes.reproduce.arguments import configs, fit_arguments
from flowdistill.recipes.reproduce.cards import newest_training_card
from flowdistill.recipes.reproduce.others import FLOWDISTILL, LIGHTNING, label_configs
from flowdistill.recipes.reproduce.settings import PROXY, PUBLISHED_BATCH, Settings
from flowdistill.recipes.reproduce.stages import Training
from flowdistill.tracking import RunCard

# The first of them warm up and are left out by the run card. A CPU takes seconds a step, a GPU fractions of one.
_STEPS = {"cpu": 6, "gpu": 60}
_LABELLED = 4


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of one step and its checkpoint, or of one labelled sample."""

    seconds: float
    bytes: int
    how: str


def measure_training(training: Training, settings: Settings) -> Measured:
    """Time a few steps of a training; kept in OUTPUT/plan, so that it is done once."""
    here = settings
    share = ""
    on_cpu = settings.accelerator == "cpu" or settings.smoke
    if on_cpu and not settings.smoke:
        here = replace(
            settings, devices=PUBLISHED_BATCH
        )  # batch 1: four frames of this size are much for a CPU
        share = f", at batch 1 and times {settings.batch_size}"
    files = {path: Path(path).read_text() for path in configs(training, settings)}
    folder = settings.output / "plan" / f"{training.name}_{_key(files, on_cpu, here.batch_size)}"
    stored = _stored(folder)
    if stored is not None:
        return stored
    layout = "things" if training.data == "things" else "kitti2015"
    size = "72x144" if settings.smoke else {"things": "540x960", "kitti2015": "375x1242"}[layout]
    data = settings.output / "plan" / f"{layout}_{size}"
    data.parent.mkdir(parents=True, exist_ok=True)
    render(data, f"--scenes 4 --frames 2 --size {size} --layout {layout} --seed 0")
    splits = ("scan:TRAIN", "scan:TEST") if layout == "things" else ("scan", "scan")
    arguments = fit_arguments(training, replace(here, devices=1, nodes=1), None)
    run(LIGHTNING, [
        "fit", *arguments,
        "--data.init_args.root", str(data),
        "--data.init_args.batch_size", str(here.batch_size),
        f"--data.init_args.{training.view}.train_split", splits[0],
        f"--data.init_args.{training.view}.val_split", splits[1],
        *(["--model.init_args.teacher", "SnapshotTeacher"] if training.teacher else []),
        "--trainer.max_steps", str(_STEPS["cpu" if on_cpu else "gpu"]),
        "--trainer.limit_val_batches", "0",
        "--trainer.logger.init_args.save_dir", str(folder),
        "--trainer.logger.init_args.name", "run",
    ])  # fmt: skip
    card = newest_training_card(folder / "run")
    checkpoint = last_checkpoint(folder / "run")
    assert checkpoint is not None
    scale = settings.batch_size if share else 1
    return _keep(
        folder, Measured(_median(card) * scale, checkpoint.stat().st_size, f"measured{share}"), checkpoint
    )


def measure_labels(settings: Settings) -> Measured:
    """Time the labels of a few rendered frames, start of the program included; kept in OUTPUT/plan."""
    chosen = label_configs(settings)
    folder = settings.output / "plan" / f"labels_{_key({path: Path(path).read_text() for path in chosen})}"
    stored = _stored(folder)
    if stored is not None:
        return stored
    size = "72x144" if settings.smoke else "375x1242"
    data = settings.output / "plan" / f"kitti2015_{size}"
    data.parent.mkdir(parents=True, exist_ok=True)
    render(data, f"--scenes {_LABELLED} --frames 2 --size {size} --layout kitti2015 --seed 0")
    started = time.monotonic()
    run(FLOWDISTILL, [
        "labels", "make", *config_arguments(chosen), "--root", str(data), "--split", "scan", "--output", PROXY,
    ])  # fmt: skip
    seconds = (time.monotonic() - started) / _LABELLED
    size_on_disk = sum(file.stat().st_size for file in (data / PROXY).rglob("*") if file.is_file())
    cores = os.cpu_count() or 1
    return _keep(
        folder, Measured(seconds / cores, size_on_disk // _LABELLED, f"measured, on {cores} cores"), None
    )


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _stored(folder: Path) -> Measured | None:
    file = folder / "measured.json"
    return Measured(**json.loads(file.read_text())) if file.is_file() else None


def _keep(folder: Path, measured: Measured, checkpoint: Path | None) -> Measured:
    """Write it down; the weights of these few steps are of no use."""
    if checkpoint is not None:
        for file in checkpoint.parent.glob("*.ckpt"):
            file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "measured.json", json.dumps(asdict(measured)).encode())
    return measured


def _median(card: RunCard) -> float:
    assert card.training is not None
    median = card.training["step_time"]["median"]
    assert median is not None
    return median
