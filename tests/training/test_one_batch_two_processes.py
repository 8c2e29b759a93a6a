"""DDP is exact: two processes with half a batch each match one process with the whole batch, in float64, to rounding.

With the same samples, for both models and every stage, including terms that are ratios over a batch's masked pixels.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from flowdistill.data import MotionDataModule, View
from flowdistill.losses import Schedule
from flowdistill.training import (
    AverageTeacher,
    DDFlowModule,
    DwarfModule,
    JointTeacher,
    OfflineTeacher,
    SnapshotTeacher,
)
from small_trainer import trainer

TESTS = Path(__file__).parents[1]
STEPS = 10


def ddflow(losses: dict[str, Any], teacher: Any = None) -> DDFlowModule:
    return DDFlowModule(
        losses, teacher, (64, 96) if teacher is not None else None, 0.125, "linear", learning_rate=1e-4
    )


def dwarf(**options: Any) -> DwarfModule:
    return DwarfModule(**options, width=0.125, initialization="residual", learning_rate=1e-4)


MODELS: dict[str, Callable[[], DDFlowModule | DwarfModule]] = {
    "ddflow, stage 1": lambda: ddflow({"abs_robust_mean_no_occlusion": 1.0}),
    "ddflow, stage 2": lambda: ddflow(
        {"abs_robust_mean_occlusion": 0.5, "census_occlusion": 1.0, "l2": 1e-4}
    ),
    "ddflow, offline": lambda: ddflow({"census_occlusion": 1.0, "distillation": 1.0}, OfflineTeacher()),
    "ddflow, average": lambda: ddflow({"census_occlusion": 1.0, "distillation": 1.0}, AverageTeacher(0.9)),
    "ddflow, snapshot": lambda: ddflow(
        {"census_occlusion": 1.0, "distillation": Schedule([(0, 0.0), (2, 1.0)], "step")}, SnapshotTeacher()
    ),
    "ddflow, joint": lambda: ddflow(
        {"census_occlusion": 1.0, "distillation": 1.0, "l2": 1e-4}, JointTeacher()
    ),
    # Until distillation begins, the teacher's weights get no gradient.
    "ddflow, joint later": lambda: ddflow(
        {"census_occlusion": 1.0, "distillation": Schedule([(0, 0.0), (2, 1.0)], "step")}, JointTeacher()
    ),
    "dwarf, pre-training": lambda: dwarf(loss="dense_multilevel", alphas={2: 0.005, 4: 0.02, 6: 0.32}),
    "dwarf, kitti": lambda: dwarf(loss="sparse_full_resolution", alphas={2: 0.001}),
    # Level 2 starts later, and no other term uses its weights.
    "dwarf, coarse to fine": lambda: dwarf(
        loss="dense_multilevel", alphas={2: Schedule([(0, 0.0), (3, 0.005)], "step"), 6: 0.32}, l2_weight=0.0
    ),
}


class Watch(pl.Callback):
    """Adds teacher labels computed from the images to batches; keeps names, gradients and losses."""

    def __init__(self) -> None:
        self.samples: list[list[str]] = []
        self.gradients: dict[str, Tensor] = {}
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, index: int) -> None:
        self.samples.append(list(batch["name"]))
        for suffix, image in (("", batch["left_t0"]), ("_backward", batch["left_t1"])):
            batch[f"teacher_flow{suffix}"] = 10 * image[:, :2] - 4
            batch[f"teacher_occluded{suffix}"] = image[:, 2:] > 0.5

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: Any, optimizer: Any) -> None:
        if trainer.global_step == 0:
            named = module.named_parameters()
            self.gradients = {name: weight.grad.clone() for name, weight in named if weight.grad is not None}

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        if trainer.fit_loop._should_accumulate():  # nothing is logged before the step is complete
            return
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


def run(kind: str, root: Path, folder: Path, processes: int, accumulated: int = 1) -> dict[str, Any]:
    """Ten steps of batch 4, split over the given numbers of processes and accumulated batches."""
    pl.seed_everything(0, verbose=False)
    model = MODELS[kind]().double()
    watch = Watch()
    view = View(
        train_split=str(root / "train.txt"), val_split=str(root / "val.txt"), flips="vertical", zoom=0.5
    )
    data = MotionDataModule(
        "kitti2015", root=str(root), batch_size=4, num_workers=0, **{model.view: view}
    )  # fmt: skip
    options = {"devices": processes, "strategy": "ddp"} if processes > 1 else {}
    fit = trainer(
        folder,
        STEPS,
        limit_val_batches=0,
        callbacks=[watch],
        precision="64-true",
        accumulate_grad_batches=accumulated,
        enable_checkpointing=False,
        **options,
    )
    fit.fit(model, data)
    weights = {name: weight for name, weight in model.state_dict().items() if weight.is_floating_point()}
    return {
        "samples": watch.samples,
        "gradients": watch.gradients,
        "losses": watch.losses,
        "weights": weights,
    }


def main(root: Path, folder: Path, kinds: list[str]) -> None:
    for kind in kinds:
        result = run(kind, root, folder, 2)
        torch.save(result, folder / f"{kind} {os.environ.get('LOCAL_RANK', '0')}.pt")


@pytest.fixture(scope="module")
def two(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the results of the two processes."""
    folder = tmp_path_factory.mktemp("two")
    paths = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(TESTS))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, __file__, str(rendered), str(folder), *MODELS]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def load(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = torch.load(path, weights_only=True)
    return result


@pytest.mark.parametrize("kind", MODELS)
def test_two_processes_compute_what_one_does(kind: str, rendered: Path, two: Path, tmp_path: Path) -> None:
    alone = run(kind, rendered, tmp_path, 1)
    ranks = [load(two / f"{kind} {rank}.pt") for rank in range(2)]
    both = [one + other for one, other in zip(*(rank["samples"] for rank in ranks), strict=True)]
    assert both == alone["samples"]
    for rank in ranks:
        assert set(rank["gradients"]) == set(alone["gradients"])
        largest = max(float(gradient.abs().max()) for gradient in alone["gradients"].values())
        for name, gradient in alone["gradients"].items():
            assert float((rank["gradients"][name] - gradient).abs().max()) <= 1e-9 * largest, name
        assert len(rank["losses"]) == STEPS
        torch.testing.assert_close(rank["losses"], alone["losses"], rtol=1e-6, atol=0)
        for name, weight in alone["weights"].items():
            assert float((rank["weights"][name] - weight).norm()) <= 1e-7 * float(weight.norm()), name


def test_accumulation_takes_the_same_samples(rendered: Path, tmp_path: Path) -> None:
    """Accumulation splits a batch as processes do; a loss that is a sum is then the same."""
    alone = run("dwarf, kitti", rendered, tmp_path, 1)
    parts = run("dwarf, kitti", rendered, tmp_path, 1, accumulated=2)
    assert parts["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    halves = [one + other for one, other in zip(parts["samples"][::2], parts["samples"][1::2], strict=True)]
    assert halves == alone["samples"]
    for name, weight in alone["weights"].items():
        assert float((parts["weights"][name] - weight).norm()) <= 1e-7 * float(weight.norm()), name


@pytest.mark.parametrize("kind", MODELS)
def test_nothing_is_broadcast_at_each_step(kind: str) -> None:
    """DDP broadcasts a module's buffers from rank 0 at every step; these modules have none."""
    assert list(MODELS[kind]().named_buffers()) == []


@pytest.mark.parametrize(
    ("l2_weight", "alphas", "idle"),
    [
        (0.0, {2: 1.0}, False),
        (0.0, {3: 1.0}, True),
        (0.1, {3: 1.0}, False),  # the regulariser reaches every weight
        (0.0, {2: Schedule([(0, 1.0), (50, 0.0)], "step"), 6: 1.0}, True),
        (0.0, {2: Schedule([(0, 1.0), (5000, 0.0)], "step"), 6: 1.0}, False),  # after the run
    ],
)
def test_unused_weights_are_looked_for_where_there_are_some(
    l2_weight: float, alphas: dict[int, Any], idle: bool
) -> None:
    assert dwarf(loss="dense_multilevel", alphas=alphas, l2_weight=l2_weight).has_idle_parameters(100) == idle
    assert not ddflow({"census_occlusion": 1.0}).has_idle_parameters(100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
