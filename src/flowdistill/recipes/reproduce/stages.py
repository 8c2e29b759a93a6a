"""Stages of the reproductions: their purpose, initial weights and committed configs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flowdistill.errors import UserError

SMOKE = "configs/reproduce/smoke"
DataName = Literal["kitti", "things", "chairs", "sintel"]
Name = Literal["kitti", "sintel"]  # of a reproduction


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
        starts: the stages whose weights it can start from; several are alternatives, the first is the published one.
        labels: the stage that makes its labels: proxy labels, or those of DDFlow's teacher.
        scored_on: a split with ground truth that it does not train on, read in the model's view.
    """

    name: str
    title: str
    model: str
    data: DataName
    smoke: tuple[str, ...]
    patches: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    labels: str | None = None
    scored_on: str | None = None
    view: Literal["scene_flow", "flow"] = "scene_flow"


@dataclass(frozen=True)
class TeacherLabels:
    """A stage in which a finished network predicts whole frames, as labels for a student (DDFlow's stage 3).

    Attributes:
        name: name of the stage.
        teacher: the training whose last checkpoint predicts.
        student: the training whose pairs are predicted.
    """

    name: str
    teacher: str
    student: str


def _kitti(name: str, title: str, start: str, labels: bool, scored_on: str | None) -> Training:
    return Training(
        name,
        title,
        "configs/dwarf/kitti.yaml",
        "kitti",
        smoke=(f"{SMOKE}/dwarf_kitti.yaml",),
        patches=(f"configs/dwarf/supervision/{name}.yaml",),
        starts=(start,),
        labels="labels" if labels else None,
        scored_on=scored_on,
    )


def _ddflow(data: DataName, prefix: str, where: str, scored_on: str | None) -> tuple[Training, ...]:
    """Return DDFlow's stages on a data set; stage 2 starts from the student of FlyingChairs, unless this is it."""
    scan = () if data == "kitti" else (f"{SMOKE}/scan.yaml",)
    small, masked = (f"{SMOKE}/ddflow.yaml", *scan), f"{SMOKE}/ddflow_occlusion.yaml"
    from_chairs = () if data == "chairs" else ("chairs_student",)
    photometric, census, student = (f"{prefix}_{stage}" for stage in ("photometric", "census", "student"))
    return (
        Training(photometric, f"DDFlow, {where}, stage 1", "configs/ddflow/photometric.yaml", data,
                 smoke=small, scored_on=scored_on, view="flow"),
        Training(census, f"DDFlow, {where}, stage 2 (teacher)", "configs/ddflow/census.yaml", data,
                 smoke=(*small, masked), starts=(*from_chairs, photometric), scored_on=scored_on, view="flow"),
        Training(student, f"DDFlow, {where}, stage 3 (student)", "configs/ddflow/distill_offline.yaml", data,
                 smoke=(*small, masked, f"{SMOKE}/student.yaml"), patches=(f"configs/ddflow/patch/{data}.yaml",),
                 starts=(census,), labels=f"{prefix}_labels", scored_on=scored_on, view="flow"),
    )  # fmt: skip


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
        *_ddflow("chairs", "chairs", "FlyingChairs", None),
        *_ddflow("kitti", "ddflow", "KITTI", _KITTI_200),
        *_ddflow("sintel", "sintel", "Sintel", "data_splits/sintel_all.txt"),
    )
}

TEACHER_LABELS: dict[str, TeacherLabels] = {
    str(student.labels): TeacherLabels(str(student.labels), student.starts[0], student.name)
    for student in TRAININGS.values()
    if student.view == "flow" and student.labels is not None
}

#: Stages that are neither trainings nor labels of DDFlow's teachers -> what they do.
OTHERS = {
    "check": "open every file of the data sets",
    "labels": "proxy labels for KITTI's 4,000 multi-view frames",
    "evaluate": "every network on ground truth that it was not trained on",
    "submit": "checked archives for KITTI's server",
    "sintel_check": "open every file of the data sets",
    "sintel_evaluate": "every network on Sintel's training scenes, whose ground truth it was not trained on",
    "sintel_submit": "a checked folder for Sintel's server",
}

_CHAIRS = ("chairs_photometric", "chairs_census", "chairs_labels", "chairs_student")
#: Reproduction -> its stages in the order in which they run.
ORDER: dict[Name, tuple[str, ...]] = {
    "kitti": (
        "check", "pretrain", "labels", "gt", "px", "gt_px", "final_px", "final_gt", *_CHAIRS,
        "ddflow_photometric", "ddflow_census", "ddflow_labels", "ddflow_student", "evaluate", "submit",
    ),
    "sintel": (
        "sintel_check", *_CHAIRS, "sintel_photometric", "sintel_census", "sintel_labels", "sintel_student",
        "sintel_evaluate", "sintel_submit",
    ),
}  # fmt: skip
#: Only run if they are selected: stage 1 on the target, which replaces FlyingChairs' stages.
ALTERNATIVES = ("ddflow_photometric", "sintel_photometric")
#: A stage that checks data -> the data sets; the first is required.
CHECKED: dict[str, tuple[DataName, ...]] = {
    "check": ("kitti", "things", "chairs"),
    "sintel_check": ("sintel", "chairs"),
}
#: A stage that evaluates -> the benchmark.
EVALUATED: dict[str, Name] = {"evaluate": "kitti", "sintel_evaluate": "sintel"}
#: A stage that submits -> its networks, each with the server's task.
SUBMITTED: dict[str, dict[str, str]] = {
    "submit": {"final_gt": "sceneflow", "ddflow_student": "flow"},
    "sintel_submit": {"sintel_student": "flow"},
}


def scored(benchmark: Name) -> list[Training]:
    """Return the networks that are scored on a benchmark."""
    first: dict[Name, tuple[DataName, ...]] = {"kitti": ("kitti", "things"), "sintel": ("sintel",)}
    return [t for t in TRAININGS.values() if t.scored_on is not None and t.data in first[benchmark]]


def title(stage: str) -> str:
    """Return a short description of a stage."""
    if stage in TEACHER_LABELS:
        labels = TEACHER_LABELS[stage]
        return f"flow of {labels.teacher} for whole frames: labels of {labels.student}"
    return OTHERS[stage] if stage in OTHERS else TRAININGS[stage].title


def choose(names: list[str], reproduction: Name) -> list[str]:
    """Return the stages that the user selected, in the order in which they run; by default all but `ALTERNATIVES`.

    Raises:
        UserError: an unknown stage name.
    """
    order = ORDER[reproduction]
    unknown = [name for name in names if name not in order]
    if unknown:
        raise UserError(f"STAGES: there is no stage {unknown[0]!r}. The stages are: {' '.join(order)}")
    return [name for name in order if name in names or (not names and name not in ALTERNATIVES)]
