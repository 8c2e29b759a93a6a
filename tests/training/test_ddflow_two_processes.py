"""DDFlow on two processes (DDP over gloo): the guard stops both, the online teacher is the same on both."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from flowdistill.errors import UserError
from flowdistill.losses import Schedule
from flowdistill.training import AverageTeacher, JointTeacher, Teacher, ddflow
from small_trainer import flow_data, small_ddflow, trainer

TESTS = Path(__file__).parents[1]


def run_guard(folder: Path, root: Path) -> str:
    """A run whose second process has 0.15 % unmasked pixels and would not stop on its own; the first has none."""
    fit = trainer(folder, 9, devices=2, strategy="ddp", limit_val_batches=0)

    def masks(forward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.ones_like(forward[:, :1], dtype=torch.bool)
        if fit.global_rank == 1:
            found.view(-1)[: round(0.0015 * found.numel())] = False
        return found, found.clone()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ddflow, "occlusion_masks", masks)
        try:
            model = small_ddflow(losses={"census_occlusion": 1.0}, max_fully_occluded_steps=3)
            fit.fit(model, flow_data(root, batch_size=2))
        except UserError as error:
            return str(error)
    return "went on"


class Spoil(pl.Callback):
    """Makes the second process's batch of step 1 NaN. Keeps sums of all weights, at the start of each step."""

    def __init__(self) -> None:
        self.sums: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, index: int) -> None:
        self.sums.append(sum(float(weight.double().abs().sum()) for weight in module.network.parameters()))
        if trainer.global_step == 1 and trainer.global_rank == 1:
            batch["left_t1"][0, 0, 5, 5] = torch.nan


def run_spoiled(folder: Path, root: Path) -> dict[str, Any]:
    """A run in which one process gets a NaN once, three steps before values are read."""
    spoil = Spoil()
    fit = trainer(
        folder,
        9,
        devices=2,
        strategy="ddp",
        limit_val_batches=0,
        callbacks=[spoil],
        log_every_n_steps=5,
        enable_checkpointing=False,
    )
    text = "went on"
    try:
        fit.fit(small_ddflow(learning_rate=1e-3), flow_data(root, batch_size=2))
    except UserError as error:
        text = str(error)
    return {"text": text, "sums": spoil.sums}


def run_teacher(folder: Path, root: Path, teacher: Teacher) -> dict[str, Any]:
    """Weights of student and teacher after a run that starts to distill at its third step, and the crop positions."""
    losses = {"abs_robust_mean_no_occlusion": 1.0, "distillation": Schedule([(0, 0.0), (2, 1.0)], "step")}
    model = small_ddflow(
        losses=losses,
        teacher=teacher,
        student_crop=(64, 96),
        learning_rate=1e-3,
        initialization="linear",
    )
    fit = trainer(folder, 5, devices=2, strategy="ddp", limit_val_batches=0)
    places = []
    with pytest.MonkeyPatch.context() as patch:

        def placed(*arguments: Any, original: Any = ddflow.crop_offset) -> tuple[int, int]:
            places.append(original(*arguments))
            return places[-1]

        patch.setattr(ddflow, "crop_offset", placed)
        fit.fit(model, flow_data(root, batch_size=2))
    sums = {name: value.double().abs().sum().item() for name, value in model.state_dict().items()}
    return {"sums": sums, "places": places}


def main(folder: Path, root: Path) -> None:
    said = run_guard(folder, root)
    spoiled = run_spoiled(folder, root)
    taught = {
        "average": run_teacher(folder, root, AverageTeacher(0.9)),
        "joint": run_teacher(folder, root, JointTeacher()),
    }
    rank = os.environ.get("LOCAL_RANK", "0")
    (folder / f"{rank}.json").write_text(json.dumps({"said": said, "spoiled": spoiled, "taught": taught}))


@pytest.fixture(scope="module")
def results(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Results of the two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    paths = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(TESTS))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, __file__, str(folder), str(rendered)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_both_processes_stop_at_the_same_step(results: list[dict[str, Any]]) -> None:
    assert "for 3 steps, up to step 2: the occlusion check masks 99.93 %" in results[0]["said"]
    assert results[0]["said"] == results[1]["said"]


def test_a_nan_of_one_process_stops_both_and_changes_neither(results: list[dict[str, Any]]) -> None:
    one, other = (result["spoiled"] for result in results)
    text = one["text"]
    assert text.startswith("the loss is not finite at step 1 (found at step 4): loss = nan, abs_robust")
    assert "(batch 1 of process 1, data seed 0)" in text
    assert "of process 0" not in text
    assert other["text"] == text
    assert len(one["sums"]) == 5
    assert one["sums"] == other["sums"]
    assert one["sums"][1] == one["sums"][2]  # the step with the NaN
    assert len(set(one["sums"])) == 4


@pytest.mark.parametrize(("kind", "number"), [("average", {"updates": 5}), ("joint", {"started_at": 2})])
def test_the_teacher_is_the_same_on_both(
    kind: str, number: dict[str, int], results: list[dict[str, Any]]
) -> None:
    one, other = (result["taught"][kind] for result in results)
    assert one["sums"] == other["sums"]
    teacher = {
        name.removeprefix("teacher."): value
        for name, value in one["sums"].items()
        if name.startswith("teacher.net")
    }
    assert len(teacher) == 98
    assert teacher["network.context.6.weight"] != one["sums"]["network.context.6.weight"]
    for name, value in number.items():
        assert one["sums"][f"teacher.{name}"] == value
    # One crop position per batch.
    assert len(one["places"]) == len(other["places"]) == 3
    assert one["places"] == other["places"]
    assert len(set(map(tuple, one["places"]))) > 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
