"""Command lines of the trainings: committed configs, plus values from the user or an earlier stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.recipes.commands import config_arguments, finished
from flowdistill.recipes.reproduce.settings import PUBLISHED_BATCH, Settings
from flowdistill.recipes.reproduce.stages import TRAININGS, Training

#: Options that do not change a training: its hardware, and the paths of initial weights (their content counts).
NEUTRAL = (
    "--trainer.devices",
    "--trainer.num_nodes",
    "--data.init_args.batch_size",
    "--model.init_args.init_from",
    "--model.init_args.teacher.init_args.checkpoint",
)


def start_of(training: Training, settings: Settings) -> Path | None:
    """Return the checkpoint that a training starts from; None if it starts from scratch.

    Raises:
        UserError: the checkpoint does not exist.
    """
    if training.start is None:
        return None
    checkpoint = finished(settings.folder(training.start))
    if checkpoint is None:
        raise UserError(
            f"{training.name} starts from the weights of {training.start}, but {settings.folder(training.start)} has "
            f'no finished run: STAGES="{training.start} {training.name}"'
        )
    return checkpoint


def configs(training: Training, settings: Settings) -> list[str]:
    """Return the configs: model, data, trainer, patches; later ones take precedence."""
    data = settings.things_config if training.data == "things" else "configs/data/kitti.yaml"
    smoke = training.smoke if settings.smoke else ()
    return [training.model, data, settings.trainer_config, *training.patches, *smoke]


def merged_config(training: Training, settings: Settings) -> Any:
    """Return the content of the configs."""
    return OmegaConf.merge(*(OmegaConf.load(find(path)) for path in configs(training, settings)))


def fit_arguments(training: Training, settings: Settings, start: Path | None) -> list[str]:
    """Return the arguments of `lightning fit`; `start` is the checkpoint of the stage that it starts from."""
    root = settings.things if training.data == "things" else settings.kitti
    arguments = [
        *config_arguments(configs(training, settings)),
        "--data.init_args.root", str(root),
        "--data.init_args.batch_size", str(PUBLISHED_BATCH),
        "--data.init_args.seed", str(settings.seed),
        "--seed_everything", str(settings.seed),
        "--trainer.devices", str(settings.devices),
        "--trainer.num_nodes", str(settings.nodes),
    ]  # fmt: skip
    if start is not None:
        arguments += ["--model.init_args.init_from", str(start)]
        if training.teacher:
            arguments += ["--model.init_args.teacher.init_args.checkpoint", str(start)]
    return arguments


def predict_arguments(training: Training, settings: Settings, checkpoint: Path, output: Path) -> list[str]:
    """Return the arguments of `lightning predict` on the KITTI samples used to score this network, on one device."""
    assert training.scored_on is not None
    # A student's config refers to its teacher's file, which may have been deleted: the teacher is the same network.
    network = TRAININGS[training.start] if training.teacher and training.start else training
    own = [config for config in configs(network, settings) if not config.startswith("configs/data/")]
    return [
        *config_arguments(["configs/data/kitti.yaml", *own]),
        "--data.init_args.root", str(settings.kitti),
        "--data.init_args.predict_labels", "false",
        f"--data.init_args.{training.view}.predict_split", training.scored_on,
        "--trainer.devices", "1",
        "--trainer.logger", "false",
        "--ckpt_path", str(checkpoint),
        "--prediction.output", str(output),
    ]  # fmt: skip
