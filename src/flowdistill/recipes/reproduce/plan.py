"""`DRY_RUN=1`: print the planned stages with steps, hours and disk usage, without running them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from flowdistill.data import read_split
from flowdistill.recipes.commands import finished, last_checkpoint
from flowdistill.recipes.reproduce.arguments import merged_config
from flowdistill.recipes.reproduce.measure import Measured, measure_labels, measure_training
from flowdistill.recipes.reproduce.needs import screen
from flowdistill.recipes.reproduce.others import LABELLED
from flowdistill.recipes.reproduce.run import check_files, is_done, make_folder, use_threads
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import SUBMITTED, TRAININGS, Training, title
from flowdistill.training.init_from import read_checkpoint

# Bytes per pixel in the files of a prediction, uncompressed, so an upper bound: flow, two disparities, and a colour
# picture of each.
_FRAME = 375 * 1242
_FLOW, _DISPARITY, _COLOUR = 6, 2, 3
_BYTES = {"flow": _FLOW + _COLOUR, "scene_flow": _FLOW + 2 * _DISPARITY + 3 * _COLOUR}


@dataclass(frozen=True)
class Row:
    """One stage of the plan; None if a number does not apply or is not estimated."""

    stage: str
    state: str
    steps: int | None = None
    left: int | None = None
    step_seconds: float | None = None
    hours: float | None = None
    bytes: int | None = None
    how: str = ""


def dry_run(settings: Settings, stages: Sequence[str]) -> str:
    """Return the plan of these stages as text, with any missing data, after measuring a step of each kind."""
    check_files(settings)
    make_folder(settings.output)
    use_threads(settings)  # as in the real run
    measured = _measured(settings, stages)
    rows = [plan_row(stage, settings, measured) for stage in stages]
    text = table(rows, settings)
    lacking = None if settings.smoke else screen(settings, stages)
    return text if lacking is None else f"{text}\n\n{lacking}"


def _measured(settings: Settings, stages: Sequence[str]) -> dict[str, Measured]:
    """Return stage -> measured; trainings with the same model config share a measurement."""
    found: dict[str, Measured] = {}
    alike: dict[str, Measured] = {}
    # Without the requested GPU, a step on the CPU would be meaningless.
    no_gpu = settings.accelerator == "gpu" and not settings.smoke and not torch.cuda.is_available()
    for stage in stages:
        if stage == "labels":
            found[stage] = measure_labels(settings)
        elif stage in TRAININGS and not no_gpu:
            training = TRAININGS[stage]
            if training.model not in alike:
                alike[training.model] = measure_training(training, settings)
            found[stage] = alike[training.model]
    return found


def plan_row(stage: str, settings: Settings, measured: dict[str, Measured]) -> Row:
    """Return one stage: its state, remaining steps, their hours, and the final disk usage."""
    if stage in TRAININGS:
        return _training_row(TRAININGS[stage], settings, measured.get(stage))
    state = "done" if is_done(stage, settings) else "to do"
    if stage == "labels":
        samples = len(read_split(LABELLED))
        left = 0 if state == "done" else samples
        return _timed(stage, state, samples, left, measured[stage], samples)
    frame = 72 * 144 if settings.smoke else _FRAME
    if stage == "evaluate":
        scored = [
            (len(read_split(t.scored_on)), t.view) for t in TRAININGS.values() if t.scored_on is not None
        ]
        return Row(stage, "as networks are done", bytes=sum(n * frame * _BYTES[view] for n, view in scored))
    if stage == "submit":
        pixel = sum(_FLOW + (2 * _DISPARITY if task == "sceneflow" else 0) for task in SUBMITTED.values())
        return Row(stage, "as networks are done", bytes=200 * frame * pixel)
    return Row(stage, state)


def _training_row(training: Training, settings: Settings, one: Measured | None) -> Row:
    steps = int(merged_config(training, settings).trainer.max_steps)
    folder = settings.folder(training.name)
    done = 0
    state = "to do"
    if finished(folder) is not None:
        done, state = steps, "done"
    elif (last := last_checkpoint(folder)) is not None:
        done = int(read_checkpoint(last, "the last checkpoint")["global_step"])
        state = f"at step {done:,}"
    left = steps - done
    if one is None:
        return Row(training.name, state, steps, left, how="no GPU here: trainings are not timed")
    # The newest checkpoint is stored twice: as last.ckpt and with its step.
    return _timed(training.name, state, steps, left, one, 2)


def _timed(stage: str, state: str, steps: int, left: int, one: Measured, copies: int) -> Row:
    hours = left * one.seconds / 3600
    return Row(stage, state, steps, left, one.seconds, hours, copies * one.bytes, one.how)


def table(rows: Sequence[Row], settings: Settings) -> str:
    """Format the plan for printing."""
    head = f"{'stage':<20}{'state':<22}{'steps':>11}{'s/step':>10}{'hours':>12}{'disk GB':>10}  what"
    lines = [head, "-" * (len(head) + 34)]
    for row in rows:
        lines.append(
            f"{row.stage:<20}{row.state:<22}{_number(row.steps):>11}{_number(row.step_seconds, 3):>10}"
            f"{_number(row.hours, 2):>12}{_number(None if row.bytes is None else row.bytes / 1e9, 2):>10}"
            f"  {title(row.stage)}"
        )
    hours = sum(row.hours or 0 for row in rows)
    disk = sum(row.bytes or 0 for row in rows) / 1e9
    on_cpu = settings.smoke or settings.accelerator == "cpu"
    where = "the CPU" if on_cpu else f"{settings.devices * settings.nodes} GPU(s)"
    how = sorted({row.how for row in rows if row.how})
    open_ = any(row.stage in TRAININGS and row.step_seconds is None for row in rows)
    total = "total, without trainings" if open_ else "total"
    lines.append(f"{total:<42}{'':>11}{'':>10}{hours:>12,.2f}{disk:>10.2f}")
    if open_:
        lines += [
            "",
            "There is no GPU here to measure on: run this on the training machine, or with ACCELERATOR=cpu.",
        ]
    lines += [
        "",
        f"Hours are remaining steps times seconds per step on {where} ({'; '.join(how)}), without validation,",
        "data loading slower than the network, check, evaluation and submission. For `labels`, a step is a frame.",
        f"Disk: checkpoints and predictions in {settings.output}, labels in {settings.kitti}.",
    ]
    return "\n".join(lines)


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
