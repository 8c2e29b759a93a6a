"""The command lines of the trainings: committed configs, and what only the user or an earlier stage knows."""

from __future__ import annotations

from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.recipes.commands import config_arguments, finished
from flowdistill.recipes.reproduce.settings import PUBLISHED_BATCH, Settings
from flowdistill.recipes.reproduce.stages import TRAININGS, Training

#: How the same training is computed: on what, and where the weights it starts from lie (their content counts).
NEUTRAL = (
    "--trainer.devices",
    "--trainer.num_nodes",
    "--data.init_args.batch_size",
    "--model.init_args.init_from",
    "--model.init_args.teacher.init_args.checkpoint",
)


def start_of(training: Training, settings: Settings) -> Path | None:
    """The checkpoint that a training starts from; None if it starts from nothing.

    Raises:
        UserError: it is not there.
    """
    if training.start is None:
        return None
    checkpoint = finished(settings.folder(training.start))
    if checkpoint is None:
        raise UserError(
            f"{training.name} starts from the weights of {training.start}, and {settings.folder(training.start)} holds "
            f'no finished run: STAGES="{training.start} {training.name}"'
        )
    return checkpoint


def configs(training: Training, settings: Settings) -> list[str]:
    """Model, data, trainer, patches; later ones win."""
    data = settings.things_config if training.data == "things" else "configs/data/kitti.yaml"
    smoke = training.smoke if settings.smoke else ()
    return [training.model, data, settings.trainer_config, *training.patches, *smoke]


def fit_arguments(training: Training, settings: Settings, start: Path | None) -> list[str]:
    """Of `lightning fit`; `start` is the checkpoint of the stage that it starts from."""
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
    """Of `lightning predict` on the samples of KITTI that this network is scored on, on one device."""
    assert training.scored_on is not None
    # A student's config names its teacher's file, which need not be there any more: its teacher is the same network.
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
