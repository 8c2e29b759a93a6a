"""best.ckpt is the validation that was best, also after resuming; a metric that is not logged is named."""

import math
from pathlib import Path
from typing import Any, Literal

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from flowdistill.errors import UserError
from flowdistill.training import BestCheckpoint, Checkpoints
from small_trainer import flow_data, small_ddflow, trainer


class Scripted(pl.LightningModule):
    """Validates after each step with the next of the given errors; its one weight counts steps."""

    def __init__(self, errors: list[float]) -> None:
        super().__init__()
        self.errors = errors
        self.weight = nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return -self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log_dict({"val/epe_all": self.errors[self.global_step - 1], "val/epe_noc": 0.0})

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def run(
    folder: Path,
    errors: list[float],
    steps: int,
    best: BestCheckpoint,
    resume: Path | None = None,
    **options: Any,
) -> Path:
    """The folder of checkpoints."""
    keep = Checkpoints(every_n_train_steps=1)
    fit = trainer(folder, steps, callbacks=[keep, best], val_check_interval=1, **options)
    loader = DataLoader(torch.zeros(100, 1))
    few = DataLoader(torch.zeros(1, 1))
    fit.fit(Scripted(errors), loader, few, ckpt_path=resume)
    assert keep.dirpath is not None
    return Path(keep.dirpath)


def step_of(checkpoint: Path) -> int:
    stored = torch.load(checkpoint, weights_only=True)
    assert stored["state_dict"]["weight"].item() == stored["global_step"]
    return int(stored["global_step"])


@pytest.mark.parametrize(("mode", "expected"), [("min", 3), ("max", 5)])
def test_best_is_the_step_with_the_best_value(
    mode: Literal["min", "max"], expected: int, tmp_path: Path
) -> None:
    errors = [math.nan, 4.0, 2.0, 2.5, 7.0, 2.0]
    folder = run(tmp_path, errors, 6, BestCheckpoint("val/epe_all", mode))
    assert step_of(folder / "best.ckpt") == expected
    assert step_of(folder / "last.ckpt") == 6


def test_a_resumed_run_keeps_the_best_of_both_halves(tmp_path: Path) -> None:
    errors = [4.0, 2.0, 3.0, 2.5, 1.0]
    first = run(tmp_path / "a", errors, 3, BestCheckpoint("val/epe_all"))
    assert step_of(first / "best.ckpt") == 2
    second = run(tmp_path / "b", errors, 4, BestCheckpoint("val/epe_all"), first / "last.ckpt")
    assert second != first
    assert step_of(second / "best.ckpt") == 2  # 2.5 at step 4 is worse: the old file came along
    third = run(tmp_path / "c", errors, 5, BestCheckpoint("val/epe_all"), second / "last.ckpt")
    assert step_of(third / "best.ckpt") == 5
    # Where the old file is gone, the best of what can be had; where the metric is another, a new start.
    (first / "best.ckpt").unlink()
    fourth = run(tmp_path / "d", errors, 4, BestCheckpoint("val/epe_all"), first / "last.ckpt")
    assert step_of(fourth / "best.ckpt") == 4
    fifth = run(tmp_path / "e", errors, 5, BestCheckpoint("val/epe_all", "max"), second / "last.ckpt")
    assert step_of(fifth / "best.ckpt") == 5


def test_without_a_metric_nothing_is_kept(tmp_path: Path) -> None:
    folder = run(tmp_path, [1.0, 2.0], 2, BestCheckpoint())
    assert sorted(file.name for file in folder.iterdir() if "best" in file.name) == []


@pytest.mark.parametrize("sanity", [0, 2])
def test_a_metric_that_is_not_logged_is_an_error_that_lists_those_that_are(
    sanity: int, tmp_path: Path
) -> None:
    text = r"--best.metric: validation logs no 'val/rmse'. It logs: val/epe_all, val/epe_noc\."
    with pytest.raises(UserError, match=text):
        run(tmp_path, [1.0] * 9, 9, BestCheckpoint("val/rmse"), num_sanity_val_steps=sanity)
    trained = bool(list(tmp_path.rglob("last.ckpt")))
    assert trained == (sanity == 0)  # with a sanity check no step is lost


def test_the_sanity_check_does_not_ask_for_what_two_samples_may_lack(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="logs no 'val/epe_occ'"):
        run(tmp_path, [1.0] * 9, 9, BestCheckpoint("val/epe_occ"), num_sanity_val_steps=2)
    assert list(tmp_path.rglob("last.ckpt"))  # the first real validation did


def test_a_run_without_checkpoints_has_no_place_for_the_best(tmp_path: Path) -> None:
    fit = trainer(tmp_path, 1, callbacks=[BestCheckpoint("val/epe_all")], enable_checkpointing=False)
    with pytest.raises(UserError, match=r"keeps best.ckpt beside .* add the callback .*Checkpoints"):
        fit.fit(Scripted([1.0]), DataLoader(torch.zeros(9, 1)), DataLoader(torch.zeros(1, 1)))


def test_ddflow_keeps_its_best_recall(rendered: Path, tmp_path: Path) -> None:
    keep, best = Checkpoints(every_n_train_steps=1), BestCheckpoint("val/occlusion_recall", "max")
    recalls: list[float] = []

    class Recall(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
            recalls.append(float(trainer.callback_metrics["val/occlusion_recall"]))

    fit = trainer(tmp_path, 4, callbacks=[keep, best, Recall()], val_check_interval=1)
    fit.fit(small_ddflow(start="linear", learning_rate=5e-3), flow_data(rendered))
    assert len(set(recalls)) > 1
    assert all(0 <= recall <= 1 for recall in recalls)
    stored = torch.load(best.path, weights_only=True) if best.path else {}
    assert stored["global_step"] == 1 + recalls.index(max(recalls))
