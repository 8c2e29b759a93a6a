"""Between two logged steps the host neither waits for the device nor copies to it, over whole steps of a Trainer.

The meta device stands in for the GPU (tests/device_traffic.py). The batch's transfer and Lightning's own work for
several processes are not covered.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor

from device_traffic import DEVICE, Traffic, watched
from flowdistill.data import MotionDataModule, View
from flowdistill.losses import Schedule
from flowdistill.tracking.pace import Pace
from flowdistill.training import (
    AverageTeacher,
    CheckpointTeacher,
    DDFlowModule,
    DwarfModule,
    JointTeacher,
    OfflineTeacher,
    SnapshotTeacher,
    optimisers,
    recent_steps,
)
from small_trainer import small_ddflow, trainer

LOGGED_EVERY, STEPS = 3, 7


class MetaAccelerator(CPUAccelerator):
    def setup_device(self, device: torch.device) -> None:
        assert device == DEVICE


class MetaStrategy(SingleDeviceStrategy):
    """Excludes the batch's transfer from the watch."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(device=DEVICE, accelerator=MetaAccelerator())
        self.watch = watch

    def batch_to_device(self, *args: Any, **kwargs: Any) -> Any:
        with self.watch.paused():
            return super().batch_to_device(*args, **kwargs)

    def teardown(self) -> None:
        """Copies nothing to the CPU: meta tensors have no data. LearningRateMonitor leaves numbers on the device."""
        assert self.lightning_module is not None
        self.lightning_module.trainer._logger_connector.reset_metrics()


class Watch(pl.Callback):
    """Watches all steps, each up to the start of the next one."""

    def __init__(self) -> None:
        self.steps: list[Traffic] = []
        self.reads: list[int] = []  # number of the step, for each read of values
        self._open = ExitStack()

    def on_train_batch_start(self, *_: Any) -> None:
        self._open.close()
        self.steps.append(Traffic())
        self._open.enter_context(watched(self.steps[-1]))

    def on_before_zero_grad(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        assert next(module.parameters()).device == DEVICE

    def on_train_end(self, *_: Any) -> None:
        self._open.close()

    def on_exception(self, *_: Any) -> None:
        self._open.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._open.close()
        yield
        if self.steps:
            self._open.enter_context(watched(self.steps[-1]))

    def between(self) -> list[str]:
        """Transfers and waits at steps that are not logged."""
        return [
            place
            for number, step in enumerate(self.steps)
            if (number + 1) % LOGGED_EVERY
            for place in step.all
        ]


def photometric(**losses: Any) -> DDFlowModule:
    return small_ddflow(losses=losses)


def distilled(teacher: Any) -> DDFlowModule:
    losses = {"census_occlusion": 1.0, "distillation": Schedule([(0, 0.0), (2, 1.0)], "step"), "l2": 1.0}
    return small_ddflow(losses=losses, teacher=teacher, student_crop=(64, 64))


def dwarf(loss: Any) -> DwarfModule:
    alphas: dict[int, Any] = {2: Schedule([(0, 0.0), (4, 1.0)]), 3: 0.01, 4: 0.02, 5: 0.08, 6: 0.32}
    return DwarfModule(loss, alphas if loss == "dense_multilevel" else {2: 0.001}, width=0.125)


STAGES: dict[str, Callable[[], pl.LightningModule]] = {
    "photometric": lambda: photometric(abs_robust_mean_no_occlusion=1.0),
    "every photometric term": lambda: photometric(
        abs_robust_mean_no_occlusion=1.0,
        abs_robust_mean_occlusion=1.0,
        census_no_occlusion=1.0,
        census_occlusion=1.0,
    ),
    "census": lambda: photometric(census_occlusion=1.0),
    "offline teacher": lambda: distilled(OfflineTeacher()),
    "average teacher": lambda: distilled(AverageTeacher()),
    "snapshot teacher": lambda: distilled(SnapshotTeacher()),
    "joint teacher": lambda: distilled(JointTeacher()),
    "checkpoint teacher": lambda: distilled(CheckpointTeacher("stage2.ckpt")),
    "dwarf pretraining": lambda: dwarf("dense_multilevel"),
    "dwarf kitti": lambda: dwarf("sparse_full_resolution"),
}


class WithLabels(pl.LightningDataModule):
    """Adds an offline teacher's labels to the batches of another data module."""

    def __init__(self, data: MotionDataModule) -> None:
        super().__init__()
        self.data = data

    def train_dataloader(self) -> Any:
        self.data.trainer = self.trainer
        return self.data.train_dataloader()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        flow = torch.zeros_like(batch["left_t0"][:, :2])
        for end in ("", "_backward"):
            batch |= {
                f"teacher_flow{end}": flow,
                f"teacher_occluded{end}": torch.zeros_like(flow[:, :1]).bool(),
            }
        return batch


def data(root: Path, view: str) -> MotionDataModule:
    splits = View(train_split=str(root / "train.txt"), val_split=str(root / "val.txt"))
    return MotionDataModule("kitti2015", str(root), batch_size=1, num_workers=0, **{view: splits})


Run = Callable[[pl.LightningModule, Any], None]


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def run(watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Trains a module on the meta device, watched."""

    def read(values: Tensor) -> list[list[float]]:
        watch.reads.append(len(watch.steps))
        return torch.ones(values.shape).tolist()

    monkeypatch.setattr(recent_steps, "to_host", read)
    # As on a GPU, where Adam is fused.
    monkeypatch.setattr(optimisers, "FUSED_ON", (DEVICE.type,))
    optimizer = sys.modules["torch.optim.optimizer"]  # torch.optim hides it
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: [DEVICE.type])

    def run(module: pl.LightningModule, source: Any) -> None:
        fit = trainer(
            tmp_path,
            STEPS,
            accelerator="auto",
            strategy=MetaStrategy(watch),
            callbacks=[watch, LearningRateMonitor(), Pace()],
            log_every_n_steps=LOGGED_EVERY,
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_progress_bar=True,
            logger=CSVLogger(tmp_path),
        )
        fit.fit(module, source)

    return run


@pytest.mark.parametrize("stage", STAGES)
def test_no_step_waits(
    stage: str, rendered: Path, run: Run, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = STAGES[stage]()
    if isinstance(getattr(module, "teacher", None), CheckpointTeacher):
        network = small_ddflow().network
        monkeypatch.setattr(module.teacher, "prepare", lambda _: module.teacher.adopt(network))
    source: Any = data(rendered, module.view)
    if stage == "offline teacher":
        source = WithLabels(source)
    run(module, source)
    assert watch.between() == []
    assert len(watch.steps) == STEPS
    assert watch.reads == [3, 6, 7]  # after the backward pass of logged steps, and at the end


class Mistake(torch.autograd.Function):
    """Waits in its backward pass."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * torch.tensor(1.0, device=gradient.device) * gradient.item()


MISTAKES: dict[str, Callable[[Any, Tensor], Any]] = {
    "forward": lambda module, loss: loss * loss.item(),
    "backward": lambda module, loss: Mistake.apply(loss),
    "constant": lambda module, loss: loss * torch.tensor(2.0, device=loss.device),
    "float in a log": lambda module, loss: module.log("number", 1.0),
    "progress bar": lambda module, loss: module.log("number", loss.detach(), prog_bar=True),
}  # fmt: skip
HERE = "tests/training/test_no_waits.py"
FOUND = {
    "forward": {f"_local_scalar_dense {HERE}"},
    "backward": {f"_local_scalar_dense {HERE}", f"tensor {HERE}"},
    "constant": {f"tensor {HERE}"},
    "float in a log": {"tensor module.py", "_to_copy apply_func.py"},
    "progress bar": {"_local_scalar_dense apply_func.py", "_to_copy apply_func.py"},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str, rendered: Path, run: Run, watch: Watch) -> None:
    module = photometric(abs_robust_mean_no_occlusion=1.0)
    original = module.training_step

    def step(batch: Any, batch_idx: int) -> Any:
        loss = original(batch, batch_idx)
        changed = MISTAKES[mistake](module, loss)
        return loss if changed is None else changed

    module.training_step = step  # type: ignore[method-assign]
    with suppress(RuntimeError):  # the meta device has no values to give
        run(module, data(rendered, "flow"))
    assert {place.partition(":")[0] for place in watch.steps[0].all} == FOUND[mistake]
