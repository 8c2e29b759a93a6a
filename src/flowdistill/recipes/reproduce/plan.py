"""`DRY_RUN=1`: print the planned stages with steps, hours and disk usage, without running them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from flowdistill.data import read_split
from flowdistill.data.chairs_split import split_ids
from flowdistill.data.shipped import find
from flowdistill.recipes.commands import finished, last_checkpoint
from flowdistill.recipes.reproduce.arguments import merged_config, start_stage
from flowdistill.recipes.reproduce.lock import make_folder
from flowdistill.recipes.reproduce.measure import SIZES, Measured, measure_labels, measure_training
from flowdistill.recipes.reproduce.needs import screen
from flowdistill.recipes.reproduce.prepare import LABELLED
from flowdistill.recipes.reproduce.requirements import is_done, needs_of
from flowdistill.recipes.reproduce.run import check_files, use_threads
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import (
    ALTERNATIVES,
    EVALUATED,
    SUBMITTED,
    TEACHER_LABELS,
    TRAININGS,
    DataName,
    Name,
    Training,
    scored,
    title,
)
from flowdistill.recipes.reproduce.teacher_labels import SMOKE_PAIRS
from flowdistill.submission.kinds import SINTEL_PASSES, SINTEL_TEST_FRAMES
from flowdistill.training.init_from import read_checkpoint

# Bytes per pixel in the files of a prediction, uncompressed, so an upper bound: flow, two disparities, and a colour
# picture of each; Sintel's .flo; flow and occlusion of both directions as labels.
_FLOW, _DISPARITY, _COLOUR, _FLO, _LABELS = 6, 2, 3, 8, 14
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
    start: str = ""


def dry_run(settings: Settings, stages: Sequence[str], reproduction: Name = "kitti") -> str:
    """Return the plan of these stages as text, with any missing data, after measuring a step of each kind."""
    check_files(settings)
    make_folder(settings.output)
    use_threads(settings)  # as in the real run
    measured = _measured(settings, stages)
    rows = [plan_row(stage, settings, measured, stages) for stage in stages]
    text = table(rows, settings)
    lacking = None if settings.smoke else screen(settings, stages, reproduction)
    return text if lacking is None else f"{text}\n\n{lacking}"


def _measured(settings: Settings, stages: Sequence[str]) -> dict[str, Measured]:
    """Return stage -> measured; trainings with the same model config on the same data share a measurement."""
    found: dict[str, Measured] = {}
    alike: dict[tuple[str, str], Measured] = {}
    # Without the requested GPU, a step on the CPU would be meaningless.
    no_gpu = settings.accelerator == "gpu" and not settings.smoke and not torch.cuda.is_available()
    for stage in stages:
        if stage == "labels":
            found[stage] = measure_labels(settings)
        elif stage in TRAININGS and not no_gpu:
            training = TRAININGS[stage]
            key = training.model, training.data
            if key not in alike:
                alike[key] = measure_training(training, settings)
            found[stage] = alike[key]
    return found


def plan_row(
    stage: str, settings: Settings, measured: dict[str, Measured], stages: Sequence[str] = ()
) -> Row:
    """Return one stage: its state, initial weights, remaining steps, their hours, and the final disk usage."""
    if stage in TRAININGS:
        return _training_row(TRAININGS[stage], settings, measured.get(stage), stages)
    state = "done" if is_done(stage, settings) else "to do"
    if stage == "labels":
        samples = len(read_split(LABELLED))
        left = 0 if state == "done" else samples
        return _timed(stage, state, samples, left, measured[stage], samples, "")
    if stage in TEACHER_LABELS:
        what = TEACHER_LABELS[stage]
        pairs = SMOKE_PAIRS if settings.smoke else _pairs(TRAININGS[what.student], settings)
        size = pairs * _pixels(TRAININGS[what.student].data, settings) * _LABELS
        return Row(stage, state, bytes=size, start=f"last of {what.teacher}")
    if stage in EVALUATED:
        benchmark = EVALUATED[stage]
        pixels = _pixels("kitti" if benchmark == "kitti" else "sintel", settings)
        sizes = [
            len(read_split(str(t.scored_on))) * (_BYTES[t.view] if benchmark == "kitti" else _FLO)
            for t in scored(benchmark)
            if t.name not in ALTERNATIVES or t.name in stages
        ]
        return Row(stage, "as networks are done", bytes=sum(sizes) * pixels, start="last of each")
    if stage in SUBMITTED:
        tasks = SUBMITTED[stage]
        pixels = _pixels("kitti" if stage == "submit" else "sintel", settings)
        if stage == "submit":
            size = 200 * sum(
                _FLOW + (2 * _DISPARITY if task == "sceneflow" else 0) for task in tasks.values()
            )
        else:
            size = sum(frames - 1 for frames in SINTEL_TEST_FRAMES.values()) * len(SINTEL_PASSES) * _FLO
        return Row(stage, "as networks are done", bytes=size * pixels, start="last of each")
    return Row(stage, state)


def _pixels(data: DataName, settings: Settings) -> int:
    height, width = (72, 144) if settings.smoke else SIZES[data]
    return height * width


def _pairs(training: Training, settings: Settings) -> int:
    """Return the number of training pairs, without looking at the data."""
    split = merged_config(training, settings).data.init_args[training.view].train_split
    return len(read_split(split)) if find(split).is_file() else len(split_ids("train"))


def _training_row(training: Training, settings: Settings, one: Measured | None, stages: Sequence[str]) -> Row:
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
    source = start_stage(training, settings, stages)
    start = "random weights" if source is None else f"last of {source}"
    if one is None:
        return Row(training.name, state, steps, left, how="no GPU here: trainings are not timed", start=start)
    # The newest checkpoint is stored twice: as last.ckpt and with its step.
    return _timed(training.name, state, steps, left, one, 2, start)


def _timed(stage: str, state: str, steps: int, left: int, one: Measured, copies: int, start: str) -> Row:
    hours = left * one.seconds / 3600
    return Row(stage, state, steps, left, one.seconds, hours, copies * one.bytes, one.how, start)


def table(rows: Sequence[Row], settings: Settings) -> str:
    """Format the plan for printing."""
    head = f"{'stage':<20}{'state':<22}{'steps':>11}{'s/step':>10}{'hours':>12}{'disk GB':>10}  {'starts from':<28}what"
    lines = [head, "-" * (len(head) + 34)]
    for row in rows:
        lines.append(
            f"{row.stage:<20}{row.state:<22}{_number(row.steps):>11}{_number(row.step_seconds, 3):>10}"
            f"{_number(row.hours, 2):>12}{_number(None if row.bytes is None else row.bytes / 1e9, 2):>10}"
            f"  {row.start:<28}{title(row.stage)}"
        )
    hours = sum(row.hours or 0 for row in rows)
    disk = sum(row.bytes or 0 for row in rows) / 1e9
    steps = sum(row.steps or 0 for row in rows if row.stage in TRAININGS)
    on_cpu = settings.smoke or settings.accelerator == "cpu"
    where = "the CPU" if on_cpu else f"{settings.each * settings.nodes} GPU(s) for each training"
    how = sorted({row.how for row in rows if row.how})
    open_ = any(row.stage in TRAININGS and row.step_seconds is None for row in rows)
    total = "total, hours without trainings" if open_ else "total"
    lines.append(f"{total:<42}{steps:>11,}{'':>10}{hours:>12,.2f}{disk:>10.2f}  trainings' steps")
    at_once = len(settings.places)
    if at_once > 1 and not open_:
        lines.append(f"{f'with {at_once} stages side by side':<42}{'':>21}{elapsed(rows, settings):>12,.2f}")
    if open_:
        lines += [
            "",
            "There is no GPU here to measure on: run this on the training machine, or with ACCELERATOR=cpu.",
        ]
    lines += [
        "",
        f"Hours are remaining steps times seconds per step on {where} ({'; '.join(how)}), without validation,",
        "data loading slower than the network, check, evaluation, submission and the labels of DDFlow's teachers. For",
        "`labels`, a step is a frame. `last`: the last checkpoint, as in the released codes; never the best one.",
        f"Disk (predictions and DDFlow's labels: at most): {settings.output}; proxy labels: {settings.data_root}.",
    ]
    return "\n".join(lines)


def elapsed(rows: Sequence[Row], settings: Settings) -> float:
    """Return the hours until all stages are done, when each starts as soon as it can and a place is free."""
    stages = [row.stage for row in rows]
    needs = {stage: {*needs_of(stage, settings, stages)} & {*stages} for stage in stages}
    hours = {row.stage: row.hours or 0.0 for row in rows}
    waiting, free, time = list(stages), len(settings.places), 0.0
    running: list[tuple[float, str]] = []
    while waiting or running:
        unfinished = {*waiting, *(stage for _, stage in running)}
        for stage in [stage for stage in waiting if not needs[stage] & unfinished][:free]:
            waiting.remove(stage)
            heapq.heappush(running, (time + hours[stage], stage))
            free -= 1
        time, _ = heapq.heappop(running)
        free += 1
    return time


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
