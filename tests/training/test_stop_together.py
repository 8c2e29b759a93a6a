"""A training stopped by a signal at any point and resumed equals an uninterrupted one."""

import csv
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from flowdistill.stopping import Stopped, StopSignals
from flowdistill.tracking.folders import go_on_in
from flowdistill.training import BestCheckpoint, Checkpoints, StopTogether
from flowdistill.training.stop_together import resume_line, slurm_job
from small_trainer import flow_data, small_ddflow, trainer

STEPS, EVERY = 12, 4  # validation after each EVERY


class Ask(pl.Callback):
    """A signal at a given training step, or within a given batch of the validation after a step."""

    def __init__(self, asked: StopSignals, step: int, validation_batch: int | None = None) -> None:
        self.asked, self.step, self.batch = asked, step, validation_batch
        self.validations: list[int] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.batch is None and trainer.global_step == self.step:
            self.asked.received = signal.SIGTERM

    def on_validation_batch_start(
        self, trainer: pl.Trainer, module: Any, batch: Any, index: int, *_: Any
    ) -> None:
        if index == self.batch and trainer.global_step == self.step:
            self.asked.received = signal.SIGTERM

    def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.validations.append(trainer.global_step)


def run(
    root: Path, folder: Path, ask: Ask, resume: Path | None = None, every: int = 100, accumulated: int = 1
) -> tuple[Any, Path]:
    """A run in folder/runs, or resumed from the checkpoint `resume` in its folder. Returns module and folder."""
    logger = CSVLogger(folder, name="runs")
    asked = StopSignals()
    ask.asked = asked
    fit = trainer(
        folder, STEPS, logger=logger, val_check_interval=EVERY * accumulated, accumulate_grad_batches=accumulated,
        callbacks=[ask, StopTogether(["lightning", "fit"], asked), Checkpoints(every), BestCheckpoint("val/epe_all")],
    )  # fmt: skip
    if resume is not None:
        assert go_on_in(fit, resume.parents[1], resume)
    model = small_ddflow(learning_rate=1e-3)
    fit.fit(model, flow_data(root), ckpt_path=resume)
    return model, Path(logger.log_dir)


def log(folder: Path) -> list[dict[str, str]]:
    """The rows of a log, by step, without empty values."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{name: value for name, value in row.items() if value != ""} for row in csv.DictReader(file)]
    return sorted(rows, key=lambda row: (int(row["step"]), "val/epe_all" in row))


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize(
    ("step", "batch"),
    [(0, None), (5, None), (EVERY - 1, None), (EVERY, 0), (EVERY, 1), (STEPS - 1, None), (STEPS, 1)],
)
def test_it_goes_on_as_if_nothing_had_been(
    step: int, batch: int | None, accumulated: int, rendered: Path, tmp_path: Path
) -> None:
    """In the first step, between two, in the step before a validation, in its first batch, its last, the last step."""
    nothing = Ask(StopSignals(), -1)
    whole, whole_folder = run(rendered, tmp_path / "whole", nothing, accumulated=accumulated)
    ask = Ask(StopSignals(), step, batch)
    with pytest.raises(Stopped) as stopped:
        run(rendered, tmp_path / "broken", ask, accumulated=accumulated)
    assert stopped.value.code == 143
    last = tmp_path / "broken" / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    # A signal before the last batch of a validation is handled in this batch, one within it after the next step.
    saved = int(torch.load(last, weights_only=True)["global_step"])
    assert saved == step + (batch is None)
    again = Ask(StopSignals(), -1)
    resumed, folder = run(rendered, tmp_path / "broken", again, resume=last, accumulated=accumulated)
    assert folder == last.parents[1]
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]
    assert log(folder) == log(whole_folder)
    assert ask.validations + again.validations == nothing.validations == [4, 8, 12]
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    best = [torch.load(f / "checkpoints" / "best.ckpt", weights_only=True) for f in (folder, whole_folder)]
    assert best[0]["global_step"] == best[1]["global_step"]


def test_a_kill_after_a_checkpoint_before_its_validation_costs_no_validation(
    rendered: Path, tmp_path: Path
) -> None:
    """The checkpoint of a step with a due validation is written before it; a run resumed from it validates first."""
    whole_ask = Ask(StopSignals(), -1)
    _, whole_folder = run(rendered, tmp_path / "whole", whole_ask, every=EVERY)

    class Killed(Ask):
        def on_validation_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 2 * EVERY:
                raise KeyError("killed")

    with pytest.raises(KeyError, match="killed"):
        run(rendered, tmp_path / "broken", Killed(StopSignals(), -1), every=EVERY)
    last = tmp_path / "broken" / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 2 * EVERY
    again = Ask(StopSignals(), -1)
    _, folder = run(rendered, tmp_path / "broken", again, resume=last, every=EVERY)
    assert again.validations == [8, 12]
    assert log(folder) == log(whole_folder)


def test_rows_after_the_checkpoint_are_replaced(rendered: Path, tmp_path: Path) -> None:
    """A run that continued for some steps after its checkpoint has rows that are logged again."""
    whole_ask = Ask(StopSignals(), -1)
    _, whole_folder = run(rendered, tmp_path / "whole", whole_ask, every=3)

    class Killed(Ask):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 8:
                raise KeyError("killed")

    with pytest.raises(KeyError, match="killed"):
        run(rendered, tmp_path / "broken", Killed(StopSignals(), -1), every=3)
    last = tmp_path / "broken" / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    assert {int(row["step"]) for row in log(last.parents[1])} == set(range(8))
    assert torch.load(last, weights_only=True)["global_step"] == 6
    _, folder = run(rendered, tmp_path / "broken", Ask(StopSignals(), -1), resume=last, every=3)
    assert log(folder) == log(whole_folder)


def test_the_line_to_go_on_with_replaces_what_was_resumed() -> None:
    last = Path("runs/a b/last.ckpt")
    for words in (
        ["lightning", "fit", "--ckpt_path", "old.ckpt", "--config", "a.yaml"],
        ["lightning", "fit", "--ckpt_path=old.ckpt", "--config", "a.yaml"],
        ["lightning", "fit", "--config", "a.yaml"],
    ):
        assert resume_line(words, last) == "lightning fit --config a.yaml --ckpt_path 'runs/a b/last.ckpt'"


def test_a_task_of_an_array_is_a_job_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    assert slurm_job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert slurm_job() == "17"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "5")
    assert slurm_job() == "12_5"


def test_a_line_that_a_kill_broke_off_is_not_taken_for_a_row(rendered: Path, tmp_path: Path) -> None:
    """`..,5` of a row of step 57 would be one of step 5."""
    ask = Ask(StopSignals(), 7)
    with pytest.raises(Stopped):
        run(rendered, tmp_path, ask)
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    file = last.parents[1] / "metrics.csv"
    whole = file.read_text()
    file.write_text(whole + whole.splitlines()[-1].partition(",7,")[0] + ",5")
    _, folder = run(rendered, tmp_path, Ask(StopSignals(), -1), resume=last)
    steps = [int(row["step"]) for row in log(folder) if "train/loss" in row]
    assert steps == list(range(STEPS))
