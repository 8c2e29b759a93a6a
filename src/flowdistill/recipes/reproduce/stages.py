"""Stages of `make reproduce-kitti`: their purpose, initial weights and committed configs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flowdistill.errors import UserError

SMOKE = "configs/reproduce/smoke"


@dataclass(frozen=True)
class Training:
    """A stage that runs `lightning fit`.

    Attributes:
        name: name of the stage.
        title: title in tables.
        model: config of the model, with steps and schedule.
        data: training data set.
        patches: additional configs, on top of model, data and trainer.
        smoke: configs that reduce its size.
        start: the stage whose weights it starts from.
        teacher: whether those are also its teacher's weights.
        labels: whether it trains on proxy labels.
        scored_on: a split with ground truth that it does not train on, read in the model's view.
    """

    name: str
    title: str
    model: str
    data: Literal["kitti", "things"]
    smoke: tuple[str, ...]
    patches: tuple[str, ...] = ()
    start: str | None = None
    teacher: bool = False
    labels: bool = False
    scored_on: str | None = None
    view: Literal["scene_flow", "flow"] = "scene_flow"

    @property
    def needs(self) -> tuple[str, ...]:
        """Stages that must be done first."""
        labels = ("labels",) if self.labels else ()
        return (*labels, *(() if self.start is None else (self.start,)))


def _kitti(name: str, title: str, start: str, labels: bool, scored_on: str | None) -> Training:
    return Training(
        name,
        title,
        "configs/dwarf/kitti.yaml",
        "kitti",
        smoke=(f"{SMOKE}/dwarf_kitti.yaml",),
        patches=(f"configs/dwarf/supervision/{name}.yaml",),
        start=start,
        labels=labels,
        scored_on=scored_on,
    )


_KITTI_40, _KITTI_200 = "data_splits/kitti_40.txt", "data_splits/kitti_200.txt"

TRAININGS: dict[str, Training] = {
    training.name: training
    for training in (
        Training(
            "pretrain",
            "DWARF, FlyingThings3D",
            "configs/dwarf/things.yaml",
            "things",
            smoke=(f"{SMOKE}/dwarf_things.yaml",),
            scored_on=_KITTI_40,
        ),
        _kitti("gt", "DWARF, Gt", "pretrain", False, _KITTI_40),
        _kitti("px", "DWARF, Px", "pretrain", True, _KITTI_40),
        _kitti("gt_px", "DWARF, Gt+Px", "pretrain", True, _KITTI_40),
        _kitti("final_px", "DWARF, final, Px of all scenes", "pretrain", True, None),
        _kitti("final_gt", "DWARF, final, then Gt of all scenes", "final_px", False, None),
        Training(
            "ddflow_photometric",
            "DDFlow, stage 1",
            "configs/ddflow/photometric.yaml",
            "kitti",
            smoke=(f"{SMOKE}/ddflow.yaml",),
            scored_on=_KITTI_200,
            view="flow",
        ),
        Training(
            "ddflow_census",
            "DDFlow, stage 2 (teacher)",
            "configs/ddflow/census.yaml",
            "kitti",
            smoke=(f"{SMOKE}/ddflow.yaml", f"{SMOKE}/ddflow_occlusion.yaml"),
            start="ddflow_photometric",
            scored_on=_KITTI_200,
            view="flow",
        ),
        Training(
            "ddflow_student",
            "DDFlow, stage 3 (student)",
            "configs/ddflow/distill_online.yaml",
            "kitti",
            smoke=(f"{SMOKE}/ddflow.yaml", f"{SMOKE}/ddflow_occlusion.yaml", f"{SMOKE}/student.yaml"),
            patches=("configs/ddflow/patch/kitti.yaml",),
            start="ddflow_census",
            teacher=True,
            scored_on=_KITTI_200,
            view="flow",
        ),
    )
}

#: Stages that are not trainings -> what they do.
OTHERS = {
    "check": "open every file of the data sets",
    "labels": "proxy labels for KITTI's 4,000 multi-view frames",
    "evaluate": "every network on ground truth that it was not trained on",
    "submit": "checked archives for KITTI's server",
}
#: In the order in which they run.
ORDER = (
    "check",
    "pretrain",
    "labels",
    *(name for name in TRAININGS if name != "pretrain"),
    "evaluate",
    "submit",
)
#: The networks that are submitted -> the server's task.
SUBMITTED = {"final_gt": "sceneflow", "ddflow_student": "flow"}


def title(stage: str) -> str:
    """Return a short description of a stage."""
    return OTHERS[stage] if stage in OTHERS else TRAININGS[stage].title


def choose(names: list[str]) -> list[str]:
    """Return the stages that the user selected (all by default), in the order in which they run.

    Raises:
        UserError: an unknown stage name.
    """
    unknown = [name for name in names if name not in ORDER]
    if unknown:
        raise UserError(f"STAGES: there is no stage {unknown[0]!r}. The stages are: {' '.join(ORDER)}")
    return [name for name in ORDER if name in names or not names]
