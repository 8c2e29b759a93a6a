"""best.ckpt has the best validation, also after resuming; a metric that is not logged is reported by name."""

import csv
import errno
import math
from pathlib import Path
from typing import Any, Literal

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from flowdistill.errors import UserError
from flowdistill.tracking.folders import wait_for_the_disk
from flowdistill.training import AtomicCheckpointIO, BestCheckpoint, Checkpoints, older_checkpoints
from small_trainer import flow_data, small_ddflow, trainer


class Scripted(pl.LightningModule):
    """Logs the next of the given errors in the validation after each step; its one weight counts steps."""

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
    assert step_of(second / "best.ckpt") == 2  # 2.5 at step 4 is worse: the old file was copied
    third = run(tmp_path / "c", errors, 5, BestCheckpoint("val/epe_all"), second / "last.ckpt")
    assert step_of(third / "best.ckpt") == 5
    # Without the old file, or with another metric, the best value is reset.
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
    assert list(tmp_path.rglob("last.ckpt"))  # so the error came from the first real validation


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
    fit.fit(small_ddflow(initialization="linear", learning_rate=5e-3), flow_data(rendered))
    assert len(set(recalls)) > 1
    assert all(0 <= recall <= 1 for recall in recalls)
    stored = torch.load(best.path, weights_only=True) if best.path else {}
    assert stored["global_step"] == 1 + recalls.index(max(recalls))


@pytest.mark.parametrize("keep_older", [0, 1, 3])
def test_older_checkpoints_stay_beside_the_last(keep_older: int, tmp_path: Path) -> None:
    keep = Checkpoints(every_n_train_steps=2, keep=keep_older)
    fit = trainer(tmp_path, 9, callbacks=[keep], val_check_interval=100)
    fit.fit(Scripted([]), DataLoader(torch.zeros(100, 1)), DataLoader(torch.zeros(1, 1)))
    assert keep.dirpath is not None
    folder = Path(keep.dirpath)
    older = older_checkpoints(folder)
    assert [step_of(path) for path in older] == [8, 6, 4][:keep_older]
    assert [path.name for path in older] == [f"step_{n:09d}.ckpt" for n in (8, 6, 4)[:keep_older]]
    assert step_of(folder / "last.ckpt") == 9
    assert len(list(folder.iterdir())) == keep_older + 1


class FullDisk(AtomicCheckpointIO):
    """Fails to write the checkpoints of some steps."""

    def __init__(self, full: set[int]) -> None:
        self.full = full

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if checkpoint["global_step"] in self.full:

                def no_space(*_: Any) -> None:
                    raise OSError(errno.ENOSPC, "No space left on device")

                patch.setattr("os.replace", no_space)
            super().save_checkpoint(checkpoint, path, storage_options)


def on_disk(folder: Path, full: set[int]) -> tuple[Checkpoints, BestCheckpoint]:
    keep, best = Checkpoints(every_n_train_steps=1), BestCheckpoint("val/epe_all")
    fit = trainer(folder, 4, callbacks=[keep, best], val_check_interval=1, plugins=[FullDisk(full)])
    fit.fit(Scripted([4.0, 3.0, 2.0, 3.0]), DataLoader(torch.zeros(100, 1)), DataLoader(torch.zeros(1, 1)))
    return keep, best


def test_a_full_disk_does_not_end_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep, best = on_disk(tmp_path, {2, 3})
    folder = Path(str(keep.dirpath))
    assert step_of(folder / "last.ckpt") == 4
    assert [step_of(path) for path in older_checkpoints(folder)] == [1]
    # The best of those written: 4.0 of step 1, then 3.0 of step 4; 3.0 and 2.0 were not written.
    assert (best.value, step_of(folder / "best.ckpt")) == (3.0, 4)
    said = capsys.readouterr().err
    for step in (2, 3):
        assert (
            f"no checkpoint was written at step {step}: {folder / 'last.ckpt'}: No space left on device."
            in said
        )
    assert not list(folder.glob(".*"))


def test_a_disk_that_is_full_at_the_end_is_an_error_that_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not be written .*No space left.*last\.ckpt is of step 2\."):
        on_disk(tmp_path, {3, 4})
    assert step_of(next(tmp_path.rglob("last.ckpt"))) == 2


def test_a_log_waits_for_room_on_the_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows appear once, when there is space again; also if a new column causes the file to be rewritten."""
    logger = CSVLogger(tmp_path)
    wait_for_the_disk(logger)
    file = Path(logger.log_dir, "metrics.csv")

    def log(step: int, **values: float) -> None:
        logger.log_metrics(values, step)
        logger.save()

    log(0, a=1.0)
    before = file.read_text()
    with pytest.MonkeyPatch.context() as patch:

        class HalfWriter(csv.DictWriter):  # type: ignore[type-arg]
            def writerows(self, rows: Any) -> None:
                super().writerows(list(rows)[:1])
                raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr("lightning_fabric.loggers.csv_logs.csv.DictWriter", HalfWriter)
        log(1, a=2.0)
        assert file.read_text() == before
        log(2, b=3.0)
        assert file.read_text() == before
    log(3, a=4.0)
    with file.open(newline="") as stream:
        rows = [(row["step"], row["a"], row["b"]) for row in csv.DictReader(stream)]
    assert rows == [("0", "1.0", ""), ("1", "2.0", ""), ("2", "", "3.0"), ("3", "4.0", "")]
    assert capsys.readouterr().err.count("its log is kept in memory") == 1
