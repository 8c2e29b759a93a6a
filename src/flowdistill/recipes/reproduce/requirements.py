"""Which stages a stage needs, and which are done."""

from __future__ import annotations

from collections.abc import Sequence

from flowdistill.errors import UserError
from flowdistill.recipes.commands import finished
from flowdistill.recipes.reproduce.arguments import start_stage
from flowdistill.recipes.reproduce.prepare import labels_are_there
from flowdistill.recipes.reproduce.settings import PROXY, Settings
from flowdistill.recipes.reproduce.stages import (
    CHECKED,
    EVALUATED,
    SUBMITTED,
    TEACHER_LABELS,
    TRAININGS,
    scored,
)
from flowdistill.recipes.reproduce.teacher_labels import labels_are_current


def needs_of(stage: str, settings: Settings, stages: Sequence[str] = ()) -> list[str]:
    """Return the stages that must be done before this one can run, as far as they are selected."""
    checks = [check for check in CHECKED if check != stage]
    if stage in CHECKED:
        return []
    if stage in EVALUATED:
        return [*checks, *(training.name for training in scored(EVALUATED[stage]))]
    if stage in SUBMITTED:
        return [*checks, *SUBMITTED[stage]]
    return [*checks, *required(stage, settings, stages)]


def required(stage: str, settings: Settings, stages: Sequence[str] = ()) -> list[str]:
    """Return the stages without which this one fails: its weights' and its labels'."""
    if stage in TEACHER_LABELS:
        return [TEACHER_LABELS[stage].teacher]
    if stage not in TRAININGS:
        return []
    training = TRAININGS[stage]
    start = start_stage(training, settings, stages)
    made_later = training.labels in TEACHER_LABELS  # from the weights of the same start
    needs = (start, training.labels) if made_later else (training.labels, start)
    return [need for need in needs if need is not None]


def check_needs(settings: Settings, stages: Sequence[str]) -> None:
    """Raise UserError for a stage that needs another one that is neither done nor selected."""
    for stage in stages:
        for need in required(stage, settings, stages):
            if need in stages or is_done(need, settings):
                continue
            hint = f'STAGES="{need} {stage}"'
            if need == "labels":
                hint += f"; or put labels of your own into {settings.root('kitti') / PROXY} (layout: docs/labels.md)"
            if stage in TRAININGS and len(TRAININGS[stage].starts) > 1:
                hint += f'; or without FlyingChairs, STAGES="{TRAININGS[stage].starts[-1]} {stage}"'
            raise UserError(f"{stage} needs {need}, which is not done: {hint}")


def is_done(stage: str, settings: Settings) -> bool:
    """Whether a stage's output exists; labels may have any origin."""
    if stage in TRAININGS:
        return finished(settings.folder(stage)) is not None
    if stage == "labels":
        return labels_are_there(settings)
    if stage in TEACHER_LABELS:
        return labels_are_current(settings, stage)
    return (settings.folder(stage) / "done.json").is_file()
