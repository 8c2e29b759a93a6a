"""`compile: true`: the same training on a compiled network, with unchanged checkpoints.

The compiled graphs run in PyTorch's own operators here (backend "aot_eager"): generating code takes minutes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from flowdistill.training import AverageTeacher, DDFlowModule, DwarfModule, JointTeacher
from small_trainer import Recorder, flow_data, small_ddflow, trainer


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Collects the compiled graphs; they run unchanged."""
    compiled: list[Any] = []
    eager = torch._dynamo.lookup_backend("aot_eager")

    def noted(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return eager(graph, inputs)

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=noted, fullgraph=True))
    yield compiled
    torch._dynamo.reset()


def fit(
    model: pl.LightningModule, folder: Path, data: Any, steps: int, **options: Any
) -> list[dict[str, float]]:
    seen = Recorder()
    checkpoint = options.pop("ckpt_path", None)
    training = trainer(folder, steps, logger=seen, **options)
    training.fit(model, data, ckpt_path=checkpoint)
    training.save_checkpoint(folder / "last.ckpt")
    return seen.steps


def test_ddflow_learns_the_same_and_resumes_either_way(
    rendered: Path, tmp_path: Path, graphs: list[Any]
) -> None:
    data = flow_data(rendered)
    eager = fit(small_ddflow(), tmp_path / "eager", data, 2)
    assert not graphs
    compiled = fit(small_ddflow(compile=True), tmp_path / "compiled", data, 2)
    assert len(graphs) == 1  # one graph, for the training crop: validation is not compiled
    for found, expected in zip(compiled, eager, strict=True):
        assert found["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-5)
    states = [torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("eager", "compiled")]
    assert list(states[0]["state_dict"]) == list(states[1]["state_dict"])
    for name in ("eager", "compiled"):  # each resumes in the other mode
        more = fit(
            small_ddflow(compile=name == "eager"), tmp_path / f"{name}2", data, 3,
            ckpt_path=tmp_path / name / "last.ckpt",
        )  # fmt: skip
        assert more[-1]["train/loss"] > 0
    loaded = DDFlowModule.load_from_checkpoint(tmp_path / "compiled" / "last.ckpt")
    before = len(graphs)
    odd = {"left_t0": torch.rand(1, 3, 67, 131), "left_t1": torch.rand(1, 3, 67, 131), "name": ["a"]}
    assert loaded.eval().predict_step(odd, 0)["flow"].shape == (1, 2, 67, 131)
    assert len(graphs) == before


def test_a_teacher_copied_from_a_compiled_student(rendered: Path, tmp_path: Path) -> None:
    found = []
    for compiled in (False, True):
        model = small_ddflow(
            losses={"abs_robust_mean_no_occlusion": 1.0, "distillation": 1.0},
            teacher=AverageTeacher(), student_crop=(64, 96), compile=compiled,
        )  # fmt: skip
        found.append(fit(model, tmp_path / str(compiled), flow_data(rendered), 2))
        assert not any("_orig_mod" in name for name in model.state_dict())
    for values, expected in zip(*found, strict=True):
        assert values["train/distillation"] == pytest.approx(expected["train/distillation"], rel=1e-4)


@pytest.mark.slow
def test_a_teacher_in_training_is_compiled_too(rendered: Path, tmp_path: Path, graphs: list[Any]) -> None:
    found = []
    for compiled in (False, True):
        model = small_ddflow(
            losses={"abs_robust_mean_no_occlusion": 1.0, "distillation": 1.0},
            teacher=JointTeacher(), student_crop=(64, 96), compile=compiled,
        )  # fmt: skip
        found.append(fit(model, tmp_path / str(compiled), flow_data(rendered), 2))
        assert not any("_orig_mod" in name for name in model.state_dict())
    assert len(graphs) == 2  # the student's crop and the teacher's view
    for values, expected in zip(*found, strict=True):
        for name in ("loss", "distillation", "teacher_abs_robust_mean_no_occlusion"):
            assert values[f"train/{name}"] == pytest.approx(expected[f"train/{name}"], rel=1e-4)


def scene(size: tuple[int, int]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)

    def rand(channels: int) -> Tensor:
        return torch.rand(1, channels, *size, generator=generator)

    batch: dict[str, Any] = {name: rand(3) for name in ("left_t0", "right_t0", "left_t1", "right_t1")}
    labels = {"flow": rand(2), "disparity_t0": rand(1), "disparity_t1": rand(1)}
    valid = {f"valid_{name}": torch.ones(1, 1, *size, dtype=torch.bool) for name in labels}
    return {**batch, **labels, **valid, "name": ["a"]}


def test_dwarf_learns_the_same_and_predicts_any_size(tmp_path: Path, graphs: list[Any]) -> None:
    found = []
    for compiled in (False, True):
        pl.seed_everything(0, verbose=False)
        model = DwarfModule("dense_multilevel", {2: 0.005, 6: 0.32}, width=0.125, compile=compiled)
        data = DataLoader([scene((64, 128))] * 2, batch_size=None)
        found.append(fit(model, tmp_path / str(compiled), data, 2, limit_val_batches=0))
    assert len(graphs) == 1
    for values, expected in zip(*found, strict=True):
        assert values["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-5)
    assert model.eval().predict_step(scene((50, 77)), 0)["flow"].shape == (1, 2, 50, 77)
    assert len(graphs) == 1
