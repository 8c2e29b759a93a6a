"""Command lines of the trainings: committed configs, plus values from the user or an earlier stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.recipes.commands import config_arguments, finished
from flowdistill.recipes.reproduce.settings import PUBLISHED_BATCH, Settings
from flowdistill.recipes.reproduce.stages import (
    TEACHER_LABELS,
    TRAININGS,
    DataName,
    Name,
    TeacherLabels,
    Training,
)

#: Options that do not change a training: its hardware, and paths below OUTPUT of files whose content counts.
NEUTRAL = (
    "--trainer.devices",
    "--trainer.num_nodes",
    "--data.init_args.batch_size",
    "--model.init_args.init_from",
)


def neutral(training: Training) -> tuple[str, ...]:
    """Return the options whose values do not count as settings of a training."""
    own_root = ("--data.init_args.root", "--data.init_args.flow.train_split")
    return (*NEUTRAL, *(own_root if training.labels in TEACHER_LABELS else ()))


def start_stage(training: Training, settings: Settings, stages: Sequence[str] = ()) -> str | None:
    """Return the stage whose weights a training starts from; None if it starts from scratch.

    Of several possible ones: the one selected together with it, or that it was started from, or that is finished.

    Args:
        training: the training.
        settings: of the reproduction.
        stages: the user's selection.
    """
    if len(training.starts) < 2:
        return next(iter(training.starts), None)
    selected = [start for start in training.starts if start in stages]
    recorded = _start_record(training, settings)
    known = [recorded.read_text()] if recorded.is_file() else []
    done = [start for start in training.starts if finished(settings.folder(start)) is not None]
    return [*selected, *known, *done, *training.starts][0]


def record_start(training: Training, settings: Settings, start: str) -> None:
    """Record which of several stages a training is started from."""
    if len(training.starts) > 1:
        record = _start_record(training, settings)
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(record, start.encode())


def _start_record(training: Training, settings: Settings) -> Path:
    return settings.output / "starts" / training.name


def start_of(training: Training, settings: Settings, stages: Sequence[str] = ()) -> Path | None:
    """Return the checkpoint that a training starts from; None if it starts from scratch.

    Raises:
        UserError: the checkpoint does not exist.
    """
    start = start_stage(training, settings, stages)
    if start is None:
        return None
    checkpoint = finished(settings.folder(start))
    if checkpoint is None:
        raise UserError(
            f"{training.name} starts from the weights of {start}, but {settings.folder(start)} has "
            f'no finished run: STAGES="{start} {training.name}"'
        )
    return checkpoint


def configs(training: Training, settings: Settings) -> list[str]:
    """Return the configs: model, data, trainer, patches; later ones take precedence."""
    smoke = training.smoke if settings.smoke else ()
    return [
        training.model,
        settings.config(training.data),
        settings.trainer_config,
        *training.patches,
        *smoke,
    ]


def merged_config(training: Training, settings: Settings) -> Any:
    """Return the content of the configs."""
    return OmegaConf.merge(*(OmegaConf.load(find(path)) for path in configs(training, settings)))


def fit_arguments(training: Training, settings: Settings, start: Path | None) -> list[str]:
    """Return the arguments of `lightning fit`; `start` is the checkpoint of the stage that it starts from."""
    root, split = settings.root(training.data), []
    if training.labels in TEACHER_LABELS:
        folder = settings.folder(str(training.labels))
        root, split = folder / "data", ["--data.init_args.flow.train_split", str(folder / "split.txt")]
    arguments = [
        *config_arguments(configs(training, settings)),
        "--data.init_args.root", str(root),
        *split,
        "--data.init_args.batch_size", str(PUBLISHED_BATCH),
        "--data.init_args.seed", str(settings.seed),
        "--seed_everything", str(settings.seed),
        "--trainer.devices", str(settings.each),
        "--trainer.num_nodes", str(settings.nodes),
    ]  # fmt: skip
    return arguments if start is None else [*arguments, "--model.init_args.init_from", str(start)]


def score_root(benchmark: Name) -> DataName:
    """Return the data set of a benchmark."""
    return "kitti" if benchmark == "kitti" else "sintel"


def scored_split(training: Training, settings: Settings) -> str:
    """Return the split that a network is scored on; the scenes of a smoke run have other names than Sintel's."""
    assert training.scored_on is not None
    return "scan" if settings.smoke and training.data == "sintel" else training.scored_on


def predict_arguments(
    training: Training, benchmark: Name, settings: Settings, checkpoint: Path, output: Path
) -> list[str]:
    """Return the arguments of `lightning predict` on the samples used to score this network, on one device."""
    own = [config for config in configs(training, settings) if not config.startswith("configs/data/")]
    data = score_root(benchmark)
    return [
        *config_arguments([settings.config(data), *own]),
        "--data.init_args.root", str(settings.root(data)),
        "--data.init_args.predict_labels", "false",
        f"--data.init_args.{training.view}.predict_split", scored_split(training, settings),
        "--trainer.devices", "1",
        "--trainer.logger", "false",
        "--ckpt_path", str(checkpoint),
        *(["--prediction.layout", "sintel"] if benchmark == "sintel" else []),
        "--prediction.output", str(output),
    ]  # fmt: skip


def label_arguments(
    what: TeacherLabels, settings: Settings, checkpoint: Path, split: Path, devices: int, output: Path
) -> list[str]:
    """Return the arguments of `lightning predict` for the labels that a teacher gives the pairs of a split."""
    teacher, student = TRAININGS[what.teacher], TRAININGS[what.student]
    return [
        *config_arguments(configs(teacher, settings)),
        "--data.init_args.root", str(settings.root(student.data)),
        "--data.init_args.predict_labels", "false",
        "--data.init_args.flow.predict_split", str(split),
        "--trainer.devices", str(devices),
        "--trainer.logger", "false",
        "--ckpt_path", str(checkpoint),
        "--prediction.layout", "labels",
        "--prediction.output", str(output),
    ]  # fmt: skip
