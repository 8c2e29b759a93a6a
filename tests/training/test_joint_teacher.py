"""A teacher that is trained along: two trainings in one step, and which of the two networks is evaluated."""

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from flowdistill.errors import UserError
from flowdistill.inference.load import load_model
from flowdistill.losses import Schedule, Weight
from flowdistill.networks import DDFlowNet
from flowdistill.training import (
    CheckpointTeacher,
    DDFlowModule,
    JointTeacher,
    NonFiniteLossError,
    OcclusionCollapseError,
    Teacher,
    ddflow,
    joint_teacher,
)
from flowdistill.training.init_from import init_from
from small_trainer import Recorder, flow_data, small_ddflow, trainer

STAGE2: dict[str, Weight] = {"census_occlusion": 1.0, "abs_robust_mean_no_occlusion": 0.3, "l2": 1e-3}
STAGE3: dict[str, Weight] = {**STAGE2, "distillation": 1.0}
WIDTH = 0.25  # of the teacher; the student's is 0.125


class Steps(pl.Callback):
    """Adam's input (gradients) of every step, and the weights before it and at the end, of all trained networks."""

    def __init__(self) -> None:
        self.gradients: list[list[dict[str, Tensor]]] = []
        self.weights: list[list[dict[str, Tensor]]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        self.weights.append(self._of(module, lambda weight: weight))

    def on_train_end(self, trainer: pl.Trainer, module: Any) -> None:
        self.weights.append(self._of(module, lambda weight: weight))

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        self.gradients.append(self._of(module, lambda weight: weight.grad))

    @staticmethod
    def _of(module: Any, value: Any) -> list[dict[str, Tensor]]:
        return [
            {
                name: value(p).detach().clone()
                for name, p in network.named_parameters()
                if value(p) is not None
            }
            for network in module.trained_networks()
        ]


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def joint(teacher: Teacher, **options: Any) -> DDFlowModule:
    defaults: dict[str, Any] = {"losses": STAGE3, "student_crop": (64, 96), "learning_rate": 1e-3}
    return small_ddflow(teacher=teacher, **(defaults | options))


@pytest.fixture(scope="module")
def stage2(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of another width than the student's, whose masks leave something."""
    folder = tmp_path_factory.mktemp("stage2")
    fit = trainer(folder, 15, limit_val_batches=0)
    fit.fit(small_ddflow(width=WIDTH, initialization="linear", learning_rate=1e-3), flow_data(rendered))
    fit.save_checkpoint(folder / "stage2.ckpt")
    return folder / "stage2.ckpt"


def run(
    model: DDFlowModule, rendered: Path, folder: Path, steps: int, **options: Any
) -> tuple[Steps, list[Any]]:
    seen, logged = Steps(), Recorder()
    fit = trainer(folder, steps, callbacks=[seen], logger=logged, limit_val_batches=0, **options)
    fit.fit(model, flow_data(rendered))
    return seen, logged.steps


@pytest.mark.parametrize("options", [{}, {"gradient_clip_val": 1e-3}, {"accumulate_grad_batches": 2}])
def test_a_step_is_stage_2_of_the_teacher_and_stage_3_of_the_student(
    options: dict[str, Any], rendered: Path, tmp_path: Path, stage2: Path
) -> None:
    """Bitwise: the teacher's steps are those of a run of stage 2 on the whole view, the student's first step is that
    with the same teacher frozen."""
    model = joint(JointTeacher(str(stage2)), initialization="linear")
    seen, logged = run(model, rendered, tmp_path, 3, **options)
    alone = small_ddflow(losses=STAGE2, width=WIDTH, init_from=str(stage2), learning_rate=1e-3)
    expected, of_stage2 = run(alone, rendered, tmp_path, 3, **options)
    assert len(seen.weights) == len(expected.weights) > 3
    for both, (teacher,) in zip(seen.weights, expected.weights, strict=True):
        assert equal(both[1], teacher)
    assert not equal(seen.weights[0][1], seen.weights[-1][1])
    for step, other in zip(logged, of_stage2, strict=True):
        for name in (*STAGE2, "occluded_share"):
            assert step[f"train/teacher_{name}"] == other[f"train/{name}"], name

    frozen = joint(CheckpointTeacher(str(stage2)), initialization="linear")
    taught, of_frozen = run(frozen, rendered, tmp_path, 3, **options)
    first = options.get("accumulate_grad_batches", 1)  # the batch after the first step
    assert equal(seen.weights[first][0], taught.weights[first][0])
    assert not equal(seen.weights[0][0], seen.weights[first][0])
    assert not equal(seen.weights[-1][0], taught.weights[-1][0])  # by then the teachers differ
    step, other = logged[0], of_frozen[0]
    own = sum(cast(float, weight) * step[f"train/teacher_{name}"] for name, weight in STAGE2.items())
    assert other["train/distillation"] > 0
    for name in (*STAGE3, "distilled_share", "occluded_share", "gradient_norm"):
        assert step[f"train/{name}"] == other[f"train/{name}"], name
    assert step["train/loss"] == pytest.approx(other["train/loss"] + own, rel=1e-5)


def test_it_starts_and_learns_with_distillation(rendered: Path, tmp_path: Path) -> None:
    """Without a checkpoint: a copy of the student from when distillation begins, unchanged where it pauses."""
    losses = {**STAGE2, "distillation": Schedule([(0, 0.0), (2, 1.0), (4, 0.0)], "step")}
    model = joint(JointTeacher(), losses=losses)
    assert model.has_idle_parameters(2)
    seen, logged = run(model, rendered, tmp_path, 6)
    assert model.joint_teacher is not None
    assert model.joint_teacher.started_at == 2
    started = small_ddflow(losses=STAGE2, learning_rate=1e-3)
    started.network.load_state_dict(seen.weights[2][0])
    for step in (0, 1, 4, 5):
        assert seen.gradients[step][1] == {}
    assert equal(seen.weights[4][1], seen.weights[6][1])
    assert not equal(seen.weights[3][1], seen.weights[4][1])
    # Its first step is Adam's first: each weight moves by the learning rate against its gradient's sign.
    moved = 0
    for name, before in seen.weights[2][0].items():
        gradient, change = seen.gradients[2][1][name], seen.weights[3][1][name] - before
        clear = gradient.abs() > 1e-4
        moved += int(clear.sum())
        torch.testing.assert_close(change[clear], -1e-3 * gradient.sign()[clear], rtol=1e-2, atol=0)
    assert moved > 100
    values = [step["train/teacher_census_occlusion"] for step in logged]
    assert [value == value for value in values] == [False, False, True, True, False, False]
    assert not joint(JointTeacher()).has_idle_parameters(10)


def test_the_options_of_a_run_reach_the_teacher(rendered: Path, tmp_path: Path, stage2: Path) -> None:
    """Recomputed activations: the same bits; bfloat16: labels and losses stay float32."""
    runs = []
    for recomputed in (False, True):
        model = joint(JointTeacher(str(stage2)), checkpoint_activations=recomputed)
        runs.append(run(model, rendered, tmp_path, 2)[0])
        teacher = model.joint_teacher
        assert teacher is not None
        assert teacher.network is not None
        assert teacher.network.checkpoint_activations is recomputed
    for one, other in zip(runs[0].weights, runs[1].weights, strict=True):
        assert all(map(equal, one, other))
    found = []
    model = joint(JointTeacher(str(stage2)))
    original = model._student_view

    def spy(*arguments: Any) -> Any:
        found.append(original(*arguments))
        return found[-1]

    cast(Any, model)._student_view = spy
    run(model, rendered, tmp_path, 2, precision="bf16-mixed")
    for _, _, labels in found:
        assert {label.dtype for label in labels} == {torch.float32, torch.bool}
        assert not any(label.requires_grad for label in labels)


class SpoilTeacher(pl.Callback):
    """An infinite gradient of one of the teacher's weights at step 1."""

    def on_fit_start(self, trainer: pl.Trainer, module: Any) -> None:
        weight = module.teacher.network.context[-1].weight
        weight.register_hook(lambda gradient: gradient * (torch.inf if trainer.global_step == 1 else 1))


def test_a_gradient_of_the_teacher_that_is_not_finite_skips_the_step_of_both(
    rendered: Path, tmp_path: Path, stage2: Path
) -> None:
    model, seen = joint(JointTeacher(str(stage2)), skip_non_finite=1), Steps()
    fit = trainer(tmp_path, 3, callbacks=[seen, SpoilTeacher()], limit_val_batches=0)
    fit.fit(model, flow_data(rendered))
    assert len(model.non_finite_steps.seen) == 1
    assert all(map(equal, seen.weights[1], seen.weights[2]))
    assert not any(map(equal, seen.weights[2], seen.weights[3]))
    with pytest.raises(NonFiniteLossError, match="the gradient is not finite at step 1"):
        trainer(tmp_path, 3, callbacks=[SpoilTeacher()], limit_val_batches=0).fit(
            joint(JointTeacher(str(stage2))), flow_data(rendered)
        )


def test_a_teacher_that_masks_everything_stops_the_run(
    rendered: Path, tmp_path: Path, stage2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def masks(value: bool) -> Any:
        return lambda forward, backward: (torch.full_like(forward[:, :1], value, dtype=torch.bool),) * 2

    monkeypatch.setattr(ddflow, "occlusion_masks", masks(False))
    monkeypatch.setattr(joint_teacher, "occlusion_masks", masks(True))
    model = joint(JointTeacher(str(stage2)), max_fully_occluded_steps=3)
    with pytest.raises(
        OcclusionCollapseError, match=r"^the teacher's photometric loss .* for 3 steps, up to step 2"
    ):
        trainer(tmp_path, 9, limit_val_batches=0).fit(model, flow_data(rendered))


@pytest.mark.parametrize("evaluated", ["student", "teacher"])
def test_one_of_the_two_is_evaluated_everywhere(
    evaluated: Any, rendered: Path, tmp_path: Path, stage2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the run, from its checkpoint with any config, and by whatever else opens the checkpoint."""
    model = joint(JointTeacher(str(stage2), evaluated))
    fit = trainer(tmp_path, 3)
    fit.fit(model, flow_data(rendered))
    in_the_run = {
        name: float(value) for name, value in fit.callback_metrics.items() if name.startswith("val/")
    }
    path = tmp_path / "joint.ckpt"
    fit.save_checkpoint(path)
    student, teacher = (copy.deepcopy(network) for network in model.trained_networks())
    chosen: nn.Module = {"student": student, "teacher": teacher}[evaluated]
    width = {"student": 0.125, "teacher": WIDTH}[evaluated]

    def metrics(module: DDFlowModule, file: Path | None = path) -> dict[str, float]:
        options: Any = {"ckpt_path": None if file is None else str(file), "verbose": False}
        (found,) = trainer(tmp_path, 1).validate(module, flow_data(rendered), **options)
        return dict(found)

    plain = small_ddflow(width=width)
    plain.network.load_state_dict(chosen.state_dict())
    expected = metrics(plain, None)
    assert in_the_run == pytest.approx(expected)
    capsys.readouterr()
    assert metrics(joint(JointTeacher(evaluated=evaluated))) == expected
    assert ("evaluating the teacher that was trained along" in capsys.readouterr().err) is (
        evaluated == "teacher"
    )
    assert metrics(small_ddflow(width=width)) == expected  # a config without a teacher
    assert ("the teacher that was trained along" in capsys.readouterr().err) is (evaluated == "teacher")
    other: Any = {"student": "teacher", "teacher": "student"}[evaluated]
    turned = joint(JointTeacher(str(stage2), other))
    assert metrics(turned) != expected  # a config has the last word
    assert (
        turned.changed_settings(torch.load(path, weights_only=True)) == []
    )  # `--ckpt_path last` finds the run
    with pytest.raises(UserError, match=r"these differ: teacher"):  # best.ckpt would compare two networks
        trainer(tmp_path, 6).fit(turned, flow_data(rendered), ckpt_path=str(path))

    image = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    batch: Any = {"left_t0": image, "left_t1": image.roll(2, -1), "name": ["a"]}
    with torch.no_grad():
        flow = chosen(batch["left_t0"], batch["left_t1"])[0].full
        opened: tuple[Any, ...] = (
            load_model(path, "--checkpoint", "cpu"),
            DDFlowModule.load_from_checkpoint(path).eval(),
        )
        for loaded in opened:
            assert torch.equal(loaded.predict_step(batch, 0)["flow"], flow)
    following = DDFlowNet(width)
    init_from(following, path)
    assert equal(following.state_dict(), chosen.state_dict())
    again = CheckpointTeacher(str(path))
    again.prepare(following)
    assert again.network is not None
    assert again.width == width
    assert equal(again.network.state_dict(), chosen.state_dict())


def test_until_it_starts_the_student_stands_in(rendered: Path, tmp_path: Path) -> None:
    losses = {**STAGE2, "distillation": Schedule([(0, 0.0), (5, 1.0)], "step")}
    model = joint(JointTeacher(evaluated="teacher"), losses=losses)
    fit = trainer(tmp_path, 2)
    fit.fit(model, flow_data(rendered))
    assert model.evaluated_network is model.network
    fit.save_checkpoint(tmp_path / "early.ckpt")
    loaded = load_model(tmp_path / "early.ckpt", "--checkpoint", "cpu")
    assert equal(loaded.network.state_dict(), model.network.state_dict())


def test_mistakes_say_what_to_do(rendered: Path, tmp_path: Path, stage2: Path) -> None:
    with pytest.raises(UserError, match=r"teacher.evaluated must be student or teacher, got 'both'"):
        JointTeacher(evaluated=cast(Any, "both"))
    with pytest.raises(UserError, match=r"at step 0 the only weight is distillation's.*add census_occlusion"):
        trainer(tmp_path, 2).fit(joint(JointTeacher(), losses={"distillation": 1.0}), flow_data(rendered))
    with pytest.raises(UserError, match=r"teacher.checkpoint: none.ckpt does not exist"):
        trainer(tmp_path, 2).fit(joint(JointTeacher("none.ckpt")), flow_data(rendered))
    plain = joint(JointTeacher(evaluated="teacher"), width=WIDTH)
    with pytest.raises(UserError, match=r"the checkpoint is not of a run with JointTeacher"):
        trainer(tmp_path, 1).validate(plain, flow_data(rendered), ckpt_path=str(stage2), verbose=False)
