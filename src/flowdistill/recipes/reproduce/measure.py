"""Measure time and disk usage of a step by running the real commands on a few rendered frames of the real size."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from flowdistill.data.datasets import dataset_class, open_dataset, split_entries
from flowdistill.data.files import MASK
from flowdistill.data.proxies import FLOW_VIEW
from flowdistill.data.shipped import find
from flowdistill.formats import write_atomically, write_kitti_flow, write_mask
from flowdistill.recipes.commands import config_arguments, last_checkpoint, render, run
from flowdistill.recipes.reproduce.arguments import configs, fit_arguments
from flowdistill.recipes.reproduce.cards import median_step, training_cards
from flowdistill.recipes.reproduce.marks import FLOWDISTILL, LIGHTNING
from flowdistill.recipes.reproduce.prepare import label_configs
from flowdistill.recipes.reproduce.settings import PROXY, PUBLISHED_BATCH, Settings
from flowdistill.recipes.reproduce.stages import TEACHER_LABELS, DataName, Training

# The run card skips the first ones as warm-up. A CPU needs seconds per step, a GPU fractions of a second.
_STEPS = {"cpu": 6, "gpu": 60}
_LABELLED = 14


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of one step and its checkpoint, or of one labelled sample."""

    seconds: float
    bytes: int
    how: str


def measure_training(training: Training, settings: Settings) -> Measured:
    """Time a few steps of a training; the result is saved in OUTPUT/plan, so that this is done once."""
    here = settings
    share = ""
    on_cpu = settings.accelerator == "cpu" or settings.smoke
    if on_cpu and not settings.smoke:
        # Batch 1: four frames of this size may exceed a CPU's memory.
        here = replace(settings, devices=PUBLISHED_BATCH, devices_each=PUBLISHED_BATCH, nodes=1)
        share = f", at batch 1 and times {settings.samples_of_a_device}"
    files = {path: find(path).read_text() for path in configs(training, settings)}
    folder = settings.output / "plan" / f"{training.name}_{_key(files, on_cpu, here.samples_of_a_device)}"
    if (stored := _stored(folder)) is not None:
        return stored
    data = _frames(training.data, settings)
    splits = ("scan:TRAIN", "scan:TEST") if training.data == "things" else ("scan", "scan")
    if training.labels in TEACHER_LABELS:  # in place of those of the teacher, which does not exist yet
        splits = (str(_blank_labels(data, settings.layout(training.data))), "scan")
    arguments = fit_arguments(training, replace(here, devices=1, devices_each=1, nodes=1), None)
    run(LIGHTNING, [
        "fit", *arguments,
        "--data.init_args.root", str(data),
        "--data.init_args.batch_size", str(here.samples_of_a_device),
        f"--data.init_args.{training.view}.train_split", splits[0],
        f"--data.init_args.{training.view}.val_split", splits[1],
        "--trainer.max_steps", str(_STEPS["cpu" if on_cpu else "gpu"]),
        "--trainer.limit_val_batches", "0",
        "--trainer.logger.init_args.save_dir", str(folder),
        "--trainer.logger.init_args.name", "run",
    ])  # fmt: skip
    card = training_cards(folder / "run")[-1]
    checkpoint = last_checkpoint(folder / "run")
    assert checkpoint is not None
    scale = settings.samples_of_a_device if share else 1
    measured = Measured(median_step(card) * scale, checkpoint.stat().st_size, f"measured{share}")
    for file in checkpoint.parent.glob("*.ckpt"):  # useless after so few steps
        file.unlink()
    return _keep(folder, measured)


def measure_labels(settings: Settings) -> Measured:
    """Time the labels of a few rendered frames; the result is saved in OUTPUT/plan."""
    chosen = label_configs(settings)
    folder = settings.output / "plan" / f"labels_{_key({path: find(path).read_text() for path in chosen})}"
    if (stored := _stored(folder)) is not None:
        return stored
    data = _frames("kitti", settings)
    few, all_ = data.parent / "few.txt", data.parent / "all.txt"
    ids = [f"{scene:06d}_00" for scene in range(_LABELLED)]
    write_atomically(few, "\n".join(ids[:2]).encode())
    write_atomically(all_, "\n".join(ids).encode())
    cores = os.cpu_count() or 1
    seconds = []
    for split in (few, all_):
        output = f"{PROXY}_{split.stem}"
        shutil.rmtree(data / output, ignore_errors=True)
        started = time.monotonic()
        run(FLOWDISTILL, [
            "labels", "make", *config_arguments(chosen), "--root", str(data), "--split", str(split),
            "--output", output, "--workers", str(min(cores, _LABELLED)),
        ])  # fmt: skip
        seconds.append(time.monotonic() - started)
    # The difference excludes the start of the program.
    one = max(seconds[1] - seconds[0], 0.0) / (_LABELLED - 2)
    size_on_disk = sum(file.stat().st_size for file in (data / f"{PROXY}_all").rglob("*") if file.is_file())
    return _keep(folder, Measured(one, size_on_disk // _LABELLED, f"measured, on {cores} cores"))


#: Size of the frames of a data set, height and width in px.
SIZES: dict[DataName, tuple[int, int]] = {
    "kitti": (375, 1242),
    "things": (540, 960),
    "chairs": (384, 512),
    "sintel": (436, 1024),
}


def _frames(source: DataName, settings: Settings) -> Path:
    """Render a few frames of the real size; return their folder."""
    height, width = (72, 144) if settings.smoke else SIZES[source]
    # The original layout of FlyingThings3D, also for the subset: the same frames.
    layout, size = {"kitti": "kitti2015"}.get(source, source), f"{height}x{width}"
    data = settings.output / "plan" / f"{layout}_{size}"
    data.parent.mkdir(parents=True, exist_ok=True)
    render(data, f"--scenes {_LABELLED} --frames 2 --size {size} --layout {layout} --seed 0")
    return data


def _blank_labels(data: Path, layout: str) -> Path:
    """Write labels of zero motion for all frames, whose values do not change the time of a step; return the split."""
    dataset = dataset_class(layout)
    entries = split_entries(dataset, str(data), "scan", dataset.chosen_options(None))
    height, width = open_dataset(layout, str(data), "scan", "flow", labels=False)[0]["size"].tolist()
    still, visible = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
    for entry in entries:
        for folder, kind in FLOW_VIEW.values():
            path = data / "blank" / entry.camera / folder / f"{entry.id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind is MASK:
                write_mask(path, visible)
            else:
                write_kitti_flow(path, still)
    split = data.parent / f"{data.name}_blank.txt"
    write_atomically(split, "".join(f"{entry.line} labels=blank\n" for entry in entries).encode())
    return split


def _key(*parts: object) -> str:
    """Return a hash of what was measured, and on which machine."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    here = [platform.node(), os.cpu_count(), gpus]
    return hashlib.sha256(json.dumps([*parts, here]).encode()).hexdigest()[:12]


def _stored(folder: Path) -> Measured | None:
    file = folder / "measured.json"
    return Measured(**json.loads(file.read_text())) if file.is_file() else None


def _keep(folder: Path, measured: Measured) -> Measured:
    """Save the result."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "measured.json", json.dumps(asdict(measured)).encode())
    return measured
