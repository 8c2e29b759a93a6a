"""Teachers: their state, when they run, and that a resumed run keeps its teacher."""

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from flowdistill.errors import UserError
from flowdistill.losses import Schedule
from flowdistill.networks import DDFlowNet
from flowdistill.training import (
    AverageTeacher,
    CheckpointTeacher,
    DDFlowModule,
    JointTeacher,
    OfflineTeacher,
    SnapshotTeacher,
    Teacher,
)
from flowdistill.training.init_from import init_from
from flowdistill.training.teachers import as_teacher
from small_trainer import Recorder, flow_data, small_ddflow, trainer

FROM_2 = {"abs_robust_mean_no_occlusion": 1.0, "distillation": Schedule([(0, 0.0), (2, 1.0)], "step")}


def student(teacher: Teacher | None, **options: Any) -> DDFlowModule:
    defaults: dict[str, Any] = {"losses": FROM_2, "student_crop": (64, 96), "learning_rate": 1e-3}
    return small_ddflow(teacher=teacher, **(defaults | options))


class Weights(pl.Callback):
    """Copies of the student's and the teacher's weights, and of the teacher's labels, at each step."""

    def __init__(self) -> None:
        self.student: list[dict[str, Tensor]] = []
        self.teacher: list[dict[str, Tensor]] = []
        self.labelled: list[int] = []

    def on_fit_start(self, trainer: pl.Trainer, module: Any) -> None:
        original = module.teacher.labels

        def labels(batch: Any) -> Any:
            trained = module.joint_teacher is not None
            assert module.teacher.training is trained
            self.labelled.append(trainer.global_step)
            found = original(batch)
            assert any(label.requires_grad for label in found) is trained
            return found

        module.teacher.labels = labels

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        self._copy(module)

    def on_train_end(self, trainer: pl.Trainer, module: Any) -> None:
        self._copy(module)

    def _copy(self, module: Any) -> None:
        for copies, network in ((self.student, module.network), (self.teacher, module.teacher.network)):
            copies.append({name: value.clone() for name, value in network.state_dict().items()})


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def comparable(step: dict[str, float]) -> dict[str, float | None]:
    """A step's log with None in place of NaN (not computed), so that logs can be compared."""
    return {name: None if math.isnan(value) else value for name, value in step.items()}


def test_a_snapshot_is_the_student_of_the_step_at_which_distillation_begins(
    rendered: Path, tmp_path: Path
) -> None:
    model, seen = student(SnapshotTeacher()), Weights()
    trainer(tmp_path, 5, callbacks=[seen], limit_val_batches=0).fit(model, flow_data(rendered))
    assert seen.labelled == [2, 3, 4]
    assert not equal(seen.student[1], seen.student[2])
    for step in (3, 4, 5):
        assert equal(seen.teacher[step], seen.student[2]), step
    assert isinstance(model.teacher, SnapshotTeacher)
    assert model.teacher.taken_at == 2


def test_an_average_follows_its_definition_and_gets_no_gradient(rendered: Path, tmp_path: Path) -> None:
    model, seen = student(AverageTeacher(decay=0.3)), Weights()
    fit = trainer(tmp_path, 4, callbacks=[seen], limit_val_batches=0)
    fit.fit(model, flow_data(rendered))
    expected = {name: value.double() for name, value in seen.student[0].items()}
    for update in range(1, 5):
        decay = min(0.3, (1 + update) / (10 + update))
        assert (decay < 0.3) == (update < 3)
        for name, weight in seen.student[update].items():
            expected[name] = decay * expected[name] + (1 - decay) * weight.double()
            difference = (seen.teacher[update][name].double() - expected[name]).abs().max()
            assert difference <= 1e-6 * expected[name].abs().max() + 1e-9, (update, name)
    assert not equal(seen.teacher[4], seen.student[4])
    assert model.teacher is not None
    assert not model.has_idle_parameters(4)
    assert all(not p.requires_grad and p.grad is None for p in model.teacher.parameters())
    optimised = {id(p) for group in fit.optimizers[0].param_groups for p in group["params"]}
    assert optimised == {id(p) for p in model.network.parameters()}


@pytest.fixture(scope="module")
def stage2(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of another width than the students'."""
    folder = tmp_path_factory.mktemp("stage2")
    fit = trainer(folder, 15, limit_val_batches=0)  # so that it does not mask everything as occluded
    fit.fit(small_ddflow(width=0.25, initialization="linear", learning_rate=1e-3), flow_data(rendered))
    fit.save_checkpoint(folder / "stage2.ckpt")
    return folder / "stage2.ckpt"


def test_a_teacher_in_training_starts_as_the_student_when_distillation_begins(
    rendered: Path, tmp_path: Path
) -> None:
    model, seen = student(JointTeacher()), Weights()
    trainer(tmp_path, 5, callbacks=[seen], limit_val_batches=0).fit(model, flow_data(rendered))
    assert seen.labelled == [2, 3, 4]
    assert equal(seen.teacher[2], seen.teacher[0])
    assert not equal(seen.teacher[3], seen.student[3])
    assert not equal(seen.teacher[4], seen.teacher[3])


def test_a_checkpoint_teaches_with_its_own_width_and_stays_as_it_is(
    rendered: Path, tmp_path: Path, stage2: Path
) -> None:
    model, seen = student(CheckpointTeacher(str(stage2))), Weights()
    trainer(tmp_path, 4, callbacks=[seen], limit_val_batches=0).fit(model, flow_data(rendered))
    reference = DDFlowNet(0.25)
    init_from(reference, stage2)
    assert equal(seen.teacher[4], reference.state_dict())
    assert seen.labelled == [2, 3]


@pytest.mark.parametrize("kind", ["average", "snapshot", "checkpoint", "joint", "joint checkpoint"])
def test_a_run_in_two_halves_is_the_same_run(kind: str, rendered: Path, tmp_path: Path, stage2: Path) -> None:
    """Six steps, or three and three: same losses, same student, same teacher; the teacher's file may be gone."""
    path = tmp_path / "teacher.ckpt"
    path.write_bytes(stage2.read_bytes())

    def run(steps: int, checkpoint: str | None, save: str) -> tuple[DDFlowModule, list[dict[str, float]]]:
        teachers = {"average": AverageTeacher(0.9), "snapshot": SnapshotTeacher(),
                    "checkpoint": CheckpointTeacher(str(path)), "joint": JointTeacher(),
                    "joint checkpoint": JointTeacher(str(path), "teacher")}  # fmt: skip
        rate = Schedule([(0, 1e-3), (6, 1e-4)])
        model, logged = student(teachers[kind], learning_rate=rate), Recorder()
        fit = trainer(tmp_path, steps, logger=logged, limit_val_batches=0)
        fit.fit(model, flow_data(rendered), ckpt_path=checkpoint)
        fit.save_checkpoint(tmp_path / save)
        return model, logged.steps

    whole, losses = run(6, None, "whole.ckpt")
    _, first = run(3, None, "half.ckpt")
    path.unlink()
    resumed, second = run(6, str(tmp_path / "half.ckpt"), "resumed.ckpt")
    assert len(losses) == 6
    assert losses[5]["train/distilled_share"] > 0
    assert list(map(comparable, losses)) == list(map(comparable, first + second))
    state = resumed.state_dict()
    assert any(name.startswith("teacher.network.") for name in state)
    assert equal(whole.state_dict(), state)
    if kind.startswith("joint"):
        assert losses[5]["train/teacher_abs_robust_mean_no_occlusion"] > 0
        moments = [torch.load(tmp_path / name, weights_only=True)["optimizer_states"][0]["state"]
                   for name in ("whole.ckpt", "resumed.ckpt")]  # fmt: skip
        assert len(moments[0]) == len(moments[1]) == 2 * 98  # of both networks
        assert all(
            torch.equal(moments[0][weight][name], moments[1][weight][name])
            for weight in moments[0]
            for name in moments[0][weight]
        )


@pytest.fixture(scope="module")
def distilled(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a teacher and the student."""
    folder = tmp_path_factory.mktemp("distilled")
    fit = trainer(folder, 4, limit_val_batches=0)
    fit.fit(student(AverageTeacher(0.9)), flow_data(rendered))
    fit.save_checkpoint(folder / "distilled.ckpt")
    stored = torch.load(folder / "distilled.ckpt", weights_only=True)  # nothing but tensors and plain values
    assert any(name.startswith("teacher.network.") for name in stored["state_dict"])
    return folder / "distilled.ckpt"


def test_evaluation_passes_over_the_teacher(rendered: Path, tmp_path: Path, distilled: Path) -> None:
    """With the same config, with one that has no teacher, and right after a fit in the same process."""
    plain = small_ddflow()
    found = trainer(tmp_path, 1).validate(plain, flow_data(rendered), ckpt_path=str(distilled), verbose=False)
    stored = torch.load(distilled, weights_only=True)["state_dict"]
    assert equal({f"network.{k}": v for k, v in plain.network.state_dict().items()}, stored)
    same = trainer(tmp_path, 1).validate(
        student(AverageTeacher(0.9)), flow_data(rendered), ckpt_path=str(distilled), verbose=False
    )
    assert same == found
    fit = trainer(tmp_path, 3, limit_val_batches=0)
    trained = student(AverageTeacher(0.9))
    fit.fit(trained, flow_data(rendered))
    fit.limit_val_batches = 1.0
    assert fit.validate(trained, flow_data(rendered), ckpt_path=str(distilled), verbose=False) == found


def test_init_from_and_load_from_checkpoint_take_the_student(
    rendered: Path, tmp_path: Path, distilled: Path
) -> None:
    stored = torch.load(distilled, weights_only=True)["state_dict"]
    loaded = DDFlowModule.load_from_checkpoint(distilled)
    assert isinstance(loaded.teacher, AverageTeacher)
    assert loaded.teacher.decay == 0.9
    assert loaded.losses["distillation"] == FROM_2["distillation"]
    following = small_ddflow(init_from=str(distilled), learning_rate=0.0)
    trainer(tmp_path, 1, limit_val_batches=0).fit(following, flow_data(rendered))
    for network in (loaded.network, following.network):
        assert equal({f"network.{k}": v for k, v in network.state_dict().items()}, stored)


def test_an_average_starts_from_the_weights_that_init_from_brought(
    rendered: Path, tmp_path: Path, distilled: Path
) -> None:
    model, seen = student(AverageTeacher(0.9), init_from=str(distilled), learning_rate=0.0), Weights()
    trainer(tmp_path, 1, callbacks=[seen], limit_val_batches=0).fit(model, flow_data(rendered))
    stored = torch.load(distilled, weights_only=True)["state_dict"]
    assert equal({f"network.{name}": value for name, value in seen.teacher[0].items()}, stored)


def test_another_teacher_is_another_run(rendered: Path, tmp_path: Path, distilled: Path) -> None:
    with pytest.raises(UserError, match=r"these differ: teacher \(was .*AverageTeacher.*SnapshotTeacher"):
        trainer(tmp_path, 6).fit(student(SnapshotTeacher()), flow_data(rendered), ckpt_path=str(distilled))


def test_wrong_teachers_say_what_to_do(rendered: Path, tmp_path: Path) -> None:
    cases: list[tuple[Teacher, str]] = [
        (CheckpointTeacher(), r"needs the teacher's file: --model.init_args.teacher.checkpoint"),
        (JointTeacher("none.ckpt"), r"--model.init_args.teacher.checkpoint: none.ckpt does not exist"),
        (CheckpointTeacher("none.ckpt"), r"--model.init_args.teacher.checkpoint: none.ckpt does not exist"),
        (OfflineTeacher(), r"has no teacher_flow, teacher_flow_backward, teacher_occluded, .*labels=FOLDER"),
    ]
    for teacher, text in cases:
        with pytest.raises(UserError, match=text):
            trainer(tmp_path, 3, limit_val_batches=0).fit(student(teacher), flow_data(rendered))
    with pytest.raises(UserError, match=r"teacher.decay must be from 0 to just under 1, got 1.0"):
        AverageTeacher(1.0)
    with pytest.raises(UserError, match=r"'builtins.dict' is not a teacher class; known: AverageTeacher"):
        as_teacher({"class_path": "builtins.dict"})


def test_distillation_without_what_it_needs_is_refused() -> None:
    with pytest.raises(UserError, match=r"losses.distillation needs a teacher"):
        small_ddflow(losses=FROM_2, student_crop=(64, 96))
    with pytest.raises(UserError, match=r"needs student_crop.*configs/ddflow/patch"):
        student(OfflineTeacher(), student_crop=None)
    with pytest.raises(UserError, match=r"needs student_crop.*of 64 or more"):
        student(OfflineTeacher(), student_crop=(32, 96))
