"""A non-finite step changes nothing and is reported later, but correctly; non-finite weights are not saved."""

import copy
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor

from flowdistill.training import (
    AverageTeacher,
    Checkpoints,
    DDFlowModule,
    NonFiniteLossError,
    NonFiniteWeightsError,
    optimisers,
    recent_steps,
)
from flowdistill.training.guards import check_weights, non_finite
from flowdistill.training.optimisers import largest_gradient
from flowdistill.training.recent_steps import BatchOrigin, RecentStep, RecentSteps, nan_unless_finite
from small_trainer import Recorder, flow_data, small_ddflow, trainer


class Spoil(pl.Callback):
    """Makes a batch NaN; keeps names, weights and Adam's state at the start of every batch."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.names: list[list[str]] = []
        self.states: list[dict[str, Any]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, index: int) -> None:
        self.names.append(batch["name"])
        self._copy(trainer, module)
        if len(self.names) == self.batch + 1:
            batch["left_t0"].fill_(math.nan)

    def on_exception(self, trainer: pl.Trainer, module: Any, exception: BaseException) -> None:
        self._copy(trainer, module)

    def _copy(self, trainer: pl.Trainer, module: Any) -> None:
        state = {"weights": module.network.state_dict(), "adam": trainer.optimizers[0].state_dict()["state"]}
        self.states.append(copy.deepcopy(state))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return bool(one.keys() == other.keys() and all(same(one[key], other[key]) for key in one))
    return torch.equal(one, other)


def model(**options: Any) -> DDFlowModule:
    return small_ddflow(**({"learning_rate": 1e-3} | options))


@pytest.fixture(params=["default", "fused"])
def adam(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Adam as on this machine, and as on a GPU, where a flag on the device makes the step a no-op."""
    if request.param == "fused":
        monkeypatch.setattr(optimisers, "FUSED_ON", ("cpu",))
    return str(request.param)


def test_a_step_that_is_not_finite_changes_nothing_and_is_named_later(
    adam: str, rendered: Path, tmp_path: Path
) -> None:
    spoil = Spoil(1)
    fit = trainer(tmp_path, 9, callbacks=[spoil], limit_val_batches=0, log_every_n_steps=4)
    with pytest.raises(NonFiniteLossError) as error:
        fit.fit(model(), flow_data(rendered))
    text = str(error.value)
    assert "not finite at step 1 (found at step 3)" in text
    assert "loss = nan, abs_robust_mean_no_occlusion = nan" in text
    assert f"samples of this batch: {', '.join(spoil.names[1])}\n(batch 1 of process 0, data seed 0)" in text
    start, first, spoiled, after, found = spoil.states
    assert fit.optimizers[0].param_groups[0]["fused"] is (True if adam == "fused" else None)
    assert not same(start["weights"], first["weights"])
    assert same(first, spoiled)  # weights, moments and their counts
    assert {float(state["step"]) for state in spoiled["adam"].values()} == {1.0}
    # Later steps continue from there; the reporting step does not update.
    assert not same(spoiled["weights"], after["weights"])
    assert same(after, found)


def test_accumulated_batches_are_one_step(adam: str, rendered: Path, tmp_path: Path) -> None:
    """The first of two accumulated batches is NaN: neither counts, and the right one is reported."""
    spoil = Spoil(2)
    fit = trainer(
        tmp_path, 9, callbacks=[spoil], limit_val_batches=0, log_every_n_steps=3, accumulate_grad_batches=2
    )
    with pytest.raises(NonFiniteLossError, match=r"at step 1 \(found at step 2\)") as error:
        fit.fit(model(), flow_data(rendered))
    assert f"{', '.join(spoil.names[2])}\n(batch 2 of process 0" in str(error.value)
    assert len(spoil.names) == 6
    assert not same(spoil.states[0], spoil.states[2])
    assert same(spoil.states[2], spoil.states[4])  # before and after both batches


class ScaledOnly(MixedPrecision):
    """float16's scaler of gradients, without float16."""

    def __init__(self, scale: float) -> None:
        super().__init__(
            "16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale, backoff_factor=2.0**-30)
        )

    def autocast_context_manager(self) -> Any:
        return nullcontext()


def test_the_scaler_may_try_factors_that_overflow(adam: str, rendered: Path, tmp_path: Path) -> None:
    """Infinite gradients in the first steps are not an error; a NaN loss is."""
    spoil = Spoil(100)
    plugin = ScaledOnly(2.0**126)
    fit = trainer(tmp_path, 6, callbacks=[spoil], limit_val_batches=0, log_every_n_steps=2, plugins=[plugin])
    fit.fit(model(), flow_data(rendered))
    assert same(spoil.states[0]["weights"], spoil.states[1]["weights"])
    assert not same(spoil.states[0]["weights"], spoil.states[5]["weights"])
    assert plugin.scaler is not None
    assert plugin.scaler.get_scale() < 2.0**126

    spoil = Spoil(1)
    fit = trainer(
        tmp_path, 6, callbacks=[spoil], limit_val_batches=0, log_every_n_steps=3, plugins=[ScaledOnly(1024.0)]
    )
    with pytest.raises(NonFiniteLossError, match=r"at step 1 \(found at step 2\)"):
        fit.fit(model(), flow_data(rendered))
    assert not same(spoil.states[0], spoil.states[1])
    assert same(spoil.states[1], spoil.states[2])


def test_a_gradient_that_is_not_finite_is_named_though_the_loss_is(
    adam: str, rendered: Path, tmp_path: Path
) -> None:
    student, spoil = model(), Spoil(100)
    weight = student.network.context[-1].weight
    weight.register_hook(lambda gradient: gradient * (torch.nan if len(spoil.names) == 2 else 1))
    fit = trainer(tmp_path, 9, callbacks=[spoil], limit_val_batches=0, log_every_n_steps=3)
    with pytest.raises(NonFiniteLossError, match=r"the gradient is not finite at step 1 \(found at step 2\)"):
        fit.fit(student, flow_data(rendered))
    assert same(spoil.states[1], spoil.states[2])


@pytest.mark.parametrize("when", ["validation", "a checkpoint", "the end"])
def test_steps_are_read_before_anything_relies_on_them(when: str, rendered: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "validation": {"val_check_interval": 3},
        "a checkpoint": {"callbacks": [Checkpoints(every_n_train_steps=3)], "limit_val_batches": 0},
        "the end": {"limit_val_batches": 0, "enable_checkpointing": False},
    }[when]
    options["callbacks"] = [Spoil(1), *options.get("callbacks", [])]
    steps = 4 if when == "the end" else 9
    found = 3 if when == "the end" else 2
    with pytest.raises(NonFiniteLossError, match=rf"at step 1 \(found at step {found}\)"):
        trainer(tmp_path, steps, log_every_n_steps=100, **options).fit(model(), flow_data(rendered))
    assert list(tmp_path.rglob("*.ckpt")) == []


def test_a_run_that_never_logs_is_read_all_the_same(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_steps, "MOST", 3)
    with pytest.raises(NonFiniteLossError, match=r"at step 1 \(found at step 2\)"):
        trainer(tmp_path, 9, callbacks=[Spoil(1)], limit_val_batches=0, log_every_n_steps=0).fit(
            model(), flow_data(rendered)
        )


def test_weights_that_are_not_finite_do_not_replace_those_that_are(rendered: Path, tmp_path: Path) -> None:
    """After two saved steps an average becomes NaN, which does not affect the loss."""

    class Break(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
            if trainer.global_step == 3:
                saved.append((last.read_bytes(), sorted(file.name for file in last.parent.iterdir())))
                with torch.no_grad():
                    module.teacher.network.context[-1].bias[0] = torch.inf

    saved: list[tuple[bytes, list[str]]] = []
    keep = Checkpoints(every_n_train_steps=2)
    last = tmp_path / "checkpoints" / "last.ckpt"
    student = model(teacher=AverageTeacher(0.9))
    fit = trainer(tmp_path, 9, callbacks=[Break(), keep], limit_val_batches=0)
    text = r"no checkpoint is written at step 4: teacher.network.context.6.bias of \d+ weights hold NaN or infinity"
    with pytest.raises(NonFiniteWeightsError, match=text):
        fit.fit(student, flow_data(rendered))
    assert (last.read_bytes(), sorted(file.name for file in last.parent.iterdir())) == saved[0]


def test_a_check_of_weights_counts() -> None:
    good, nan = torch.ones(2, 3), torch.tensor([1.0, math.nan, -2.0])
    check_weights({"a": good, "b": good[0]}, 7)
    check_weights({}, 7)
    with pytest.raises(NonFiniteWeightsError, match=r"at step 7: b and 1 more of 3 weights"):
        check_weights({"a": good, "b": nan, "c": good / 0}, 7)


def test_each_logged_step_logs_its_own_values_also_after_a_resume(rendered: Path, tmp_path: Path) -> None:
    every, some, halves = Recorder(), Recorder(), Recorder()
    common: dict[str, Any] = {"limit_val_batches": 0}
    trainer(tmp_path, 8, logger=every, **common).fit(model(), flow_data(rendered))
    trainer(tmp_path, 8, logger=some, log_every_n_steps=2, **common).fit(model(), flow_data(rendered))
    assert some.steps == every.steps[1::2]
    for steps, checkpoint in ((3, None), (8, str(tmp_path / "half.ckpt"))):
        fit = trainer(tmp_path, steps, logger=halves, log_every_n_steps=2, **common)
        fit.fit(model(), flow_data(rendered), ckpt_path=checkpoint)
        fit.save_checkpoint(tmp_path / "half.ckpt")
    assert halves.steps == some.steps


def test_a_run_that_a_callback_stops_logs_the_step_it_stops_at(rendered: Path, tmp_path: Path) -> None:
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            trainer.should_stop = trainer.global_step == 3

    every, stopped = Recorder(), Recorder()
    trainer(tmp_path, 3, logger=every, limit_val_batches=0).fit(model(), flow_data(rendered))
    trainer(tmp_path, 9, logger=stopped, limit_val_batches=0, log_every_n_steps=2, callbacks=[Stop()]).fit(
        model(), flow_data(rendered)
    )
    assert stopped.steps == every.steps[1:]


@pytest.mark.parametrize("first", ["default", "fused"])
def test_a_run_may_resume_on_another_kind_of_device(
    first: str, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adam is fused depending on the device, not the checkpoint, and resumes from its moments."""

    def run(steps: int, fused: bool, checkpoint: Path | None) -> tuple[Spoil, pl.Trainer]:
        monkeypatch.setattr(optimisers, "FUSED_ON", ("cpu",) if fused else ())
        seen = Spoil(100)
        fit = trainer(tmp_path, steps, limit_val_batches=0, callbacks=[seen])
        fit.fit(model(), flow_data(rendered), ckpt_path=checkpoint)
        assert fit.optimizers[0].param_groups[0]["fused"] is (True if fused else None)
        return seen, fit

    path = tmp_path / "run.ckpt"
    run(2, first == "fused", None)[1].save_checkpoint(path)
    stored = torch.load(path, weights_only=True)["optimizer_states"][0]["state"]
    seen, fit = run(4, first != "fused", path)
    assert same(seen.states[0]["adam"], stored)
    assert {float(state["step"]) for state in fit.optimizers[0].state.values()} == {4.0}


def origin(*names: str) -> BatchOrigin:
    return BatchOrigin(names, 0, 0, 0)


def test_steps_are_read_at_once_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    original = recent_steps.to_host

    def to_host(values: Tensor) -> list[list[float]]:
        shapes.append(tuple(values.shape))
        return original(values)

    monkeypatch.setattr(recent_steps, "to_host", to_host)
    steps = RecentSteps()
    weight = torch.tensor(2.0, requires_grad=True)
    steps.add(0, origin("a"), {"loss": weight * 3, "x": torch.tensor(0.5)})
    steps.add_to_newest("gradient", torch.tensor(4.0))
    steps.add(1, origin("b", "c"), {"loss": weight.double()})
    assert len(steps) == 2
    first, second = steps.read(lambda values: values / 2)
    assert shapes == [(2, 4)]
    assert first == RecentStep(0, origin("a"), {"loss": 6.0, "x": 0.5, "gradient": 4.0},
                               {"loss": 3.0, "x": 0.25, "gradient": 2.0})  # fmt: skip
    assert (second.values, second.means) == ({"loss": 2.0}, {"loss": 1.0})
    assert steps.read() == []
    assert len(shapes) == 1


def test_a_process_that_is_finite_itself_names_the_one_that_is_not() -> None:
    own, means = {"loss": 1.0, "x": 2.0}, {"loss": math.inf, "x": 2.0}
    steps = [RecentStep(5, origin("a"), {"loss": 0.0}, {"loss": 0.0}), RecentStep(6, origin("b"), own, means)]
    (found,) = non_finite(steps, lambda text: [text, "loss = inf\nsamples of this batch: z"])
    assert found.title == "the loss is not finite at step 6: loss = inf\nsamples of this batch: z"
    assert (found.own, found.origin.samples) == ({}, ("b",))
    # Each is finite, but their sum overflows float32.
    (found,) = non_finite(steps)
    assert "at step 6: loss = inf, the mean over all processes\nsamples of this batch: b" in found.title
    assert non_finite(steps[:1]) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_finite_keeps_its_bits(bad: float) -> None:
    values = torch.tensor([3e38, -1e-45, 0.0, -0.0])
    assert nan_unless_finite(values).item() == 1.0
    assert nan_unless_finite(torch.cat([values, torch.tensor([bad])])).isnan()
    weights = [
        torch.nn.Parameter(torch.ones(2)),
        torch.nn.Parameter(torch.ones(3)),
        torch.nn.Parameter(torch.ones(1)),
    ]
    weights[0].grad, weights[1].grad = torch.tensor([1.0, -7.0]), torch.tensor([0.0, 2.0, 3.0])
    assert largest_gradient(weights).item() == 7.0
    weights[1].grad[1] = bad
    assert not largest_gradient(weights).isfinite()
