"""No training step uses an operator that PyTorch lists as non-deterministic on CUDA, forward or backward."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from flowdistill.data import MotionDataModule, View
from flowdistill.training import DDFlowModule, DwarfModule
from small_trainer import flow_data, small_ddflow, trainer

# From `torch.use_deterministic_algorithms`: operators that raise in deterministic mode, and those that differ between
# runs without it. Dispatcher names; backward operators where the backward is non-deterministic.
LISTED = {
    "replication_pad1d_backward", "replication_pad2d_backward", "replication_pad3d_backward",
    "reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward",
    "upsample_linear1d_backward", "upsample_bilinear2d_backward", "upsample_bicubic2d_backward",
    "upsample_trilinear3d_backward", "_upsample_bilinear2d_aa_backward", "_upsample_bicubic2d_aa_backward",
    "grid_sampler_2d_backward", "grid_sampler_3d_backward", "avg_pool3d_backward",
    "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "adaptive_max_pool2d_backward",
    "fractional_max_pool2d_backward", "max_unpool2d", "max_pool3d_with_indices_backward", "nll_loss_forward",
    "nll_loss2d_forward", "_ctc_loss_backward", "_embedding_bag_backward", "put", "put_", "histc", "bincount",
    "kthvalue", "cumsum", "cumsum_", "resize_", "scatter", "scatter_", "scatter_add", "scatter_add_", "scatter_reduce",
    "scatter_reduce_", "gather_backward", "index_add", "index_add_", "index_select_backward", "index_put",
    "index_put_", "_index_put_impl_", "index_copy", "index_copy_", "repeat_interleave", "embedding_dense_backward",
}  # fmt: skip


class Recorder(TorchDispatchMode):
    """The names of all operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func.name().partition("::")[2].partition(".")[0])
        return func(*args, **(kwargs or {}))


class Trace(pl.Callback):
    """Records whole steps: forward, losses, backward, optimiser."""

    def __init__(self) -> None:
        self.recorder = Recorder()

    def on_train_batch_start(self, *_: Any) -> None:
        self.recorder.__enter__()

    def on_train_batch_end(self, *_: Any) -> None:
        self.recorder.__exit__(None, None, None)


def ddflow(losses: dict[str, Any], **options: Any) -> DDFlowModule:
    return small_ddflow(losses=losses, **options)


def dwarf(loss: Any) -> DwarfModule:
    alphas: dict[int, Any] = (
        dict.fromkeys((2, 3, 4, 5, 6), 0.01) if loss == "dense_multilevel" else {2: 0.001}
    )
    return DwarfModule(loss, alphas, width=0.125)


def average_teacher() -> dict[str, Any]:
    return {"class_path": "AverageTeacher", "init_args": {"decay": 0.99}}


STAGES: dict[str, Callable[[], pl.LightningModule]] = {
    "ddflow photometric": lambda: ddflow({"abs_robust_mean_no_occlusion": 1.0}),
    "ddflow census": lambda: ddflow({"census_no_occlusion": 1.0, "census_occlusion": 1.0, "l2": 1.0}),
    "ddflow distillation": lambda: ddflow(
        {"census_no_occlusion": 1.0, "distillation": 1.0}, teacher=average_teacher(), student_crop=(64, 64)
    ),
    "ddflow joint distillation": lambda: ddflow(
        {"census_no_occlusion": 1.0, "distillation": 1.0},
        teacher={"class_path": "JointTeacher"},
        student_crop=(64, 64),
    ),
    "dwarf pretraining": lambda: dwarf("dense_multilevel"),
    "dwarf kitti": lambda: dwarf("sparse_full_resolution"),
}


def data_for(stage: str, rendered: Path) -> MotionDataModule:
    if stage.startswith("ddflow"):
        return flow_data(rendered)
    view = View(train_split=str(rendered / "train.txt"), val_split=str(rendered / "val.txt"))
    return MotionDataModule("kitti2015", root=str(rendered), scene_flow=view, batch_size=1, num_workers=0)


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_has_no_listed_operator(stage: str, rendered: Path, tmp_path: Path) -> None:
    trace = Trace()
    options = {"callbacks": [trace], "limit_val_batches": 0}
    trainer(tmp_path, 1, **options).fit(STAGES[stage](), data_for(stage, rendered))
    assert {"convolution_backward", "convolution"} <= trace.recorder.seen
    assert trace.recorder.seen & LISTED == set()


@pytest.fixture
def deterministic_mode() -> Iterator[None]:
    """Lightning leaves PyTorch's deterministic mode on."""
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("stage", ["ddflow distillation", "dwarf pretraining"])
def test_a_deterministic_trainer_trains_both(
    stage: str, rendered: Path, tmp_path: Path, deterministic_mode: None
) -> None:
    module = STAGES[stage]()
    before = [weight.clone() for weight in module.parameters()]
    trainer(tmp_path, 2, deterministic=True).fit(module, data_for(stage, rendered))
    assert torch.are_deterministic_algorithms_enabled()
    assert not all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=False))


def test_the_trace_sees_what_it_looks_for() -> None:
    """Each of the three operators that the step used before."""
    image = torch.rand(1, 1, 4, 4, requires_grad=True)
    with Recorder() as recorder:
        padded = torch.nn.functional.pad(image, (0, 1, 0, 1), mode="replicate")
        larger = torch.nn.functional.interpolate(padded, (8, 8), mode="bilinear", align_corners=True)
        larger.gather(2, torch.zeros(1, 1, 2, 8, dtype=torch.int64)).sum().backward()
    assert recorder.seen & LISTED == {
        "replication_pad2d_backward",
        "upsample_bilinear2d_backward",
        "scatter_add",
    }
