"""Messages and files about non-finite steps: each step once, with the right batch, also if writing fails."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from spoiled_data import bad_steps, spoiled
from test_non_finite_steps import ScaledOnly

from flowdistill.data.sample import Batch
from flowdistill.data.sampler import InfiniteBatches
from flowdistill.inference.debug_batch import read_dump
from flowdistill.training import DDFlowModule, NonFiniteLossError
from small_trainer import small_ddflow, trainer

BAD_BATCHES = bad_steps(8)  # of one sample each


class Spoil(pl.Callback):
    """Makes all batches of the first steps NaN."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, index: int) -> None:
        if trainer.global_step < self.steps:
            batch["left_t0"].fill_(torch.nan)


def run(folder: Path, data: Any, steps: int, model: Any = None, **options: Any) -> DDFlowModule:
    model = model or small_ddflow(learning_rate=1e-3, skip_non_finite=9)
    defaults: dict[str, Any] = {"limit_val_batches": 0, "log_every_n_steps": 2}
    logger = pl.loggers.CSVLogger(folder, "run")
    trainer(folder, steps, logger=logger, **(defaults | options)).fit(model, data)
    return model


def counted(model: DDFlowModule) -> list[str]:
    return [line.partition(":")[0] for line in model.non_finite_steps.seen]


def test_a_step_of_several_batches_is_counted_once_and_keeps_the_guilty_one(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gradient of the step's last batch is NaN, too, regardless of which batch caused it."""
    assert [divmod(number, 2) for number in BAD_BATCHES] == [(1, 1), (2, 0)]
    model = run(tmp_path, spoiled(rendered, batch_size=2), 4, accumulate_grad_batches=2)
    assert counted(model) == ["step 1", "step 2"]
    assert capsys.readouterr().err.count("warning: the ") == 2
    files = sorted(tmp_path.rglob("*.pt"))
    assert [file.name for file in files] == [
        f"non_finite_step_{number // 2:06d}_rank0_batch{number:06d}.pt" for number in BAD_BATCHES
    ]
    assert [read_dump(file)["batch"]["name"] for file in files] == [["000001_01"], ["000001_01"]]
    with next(tmp_path.rglob("non_finite.csv")).open(newline="") as opened:
        assert [(row["step"], row["what"]) for row in csv.DictReader(opened)] == [
            ("1", "loss"),
            ("2", "loss"),
        ]


def test_all_bad_batches_of_a_step_are_kept(rendered: Path, tmp_path: Path) -> None:
    model = run(tmp_path, spoiled(rendered, batch_size=2), 1, accumulate_grad_batches=2, callbacks=[Spoil(1)])
    assert counted(model) == ["step 0"]
    names = [read_dump(file)["batch"]["name"] for file in sorted(tmp_path.rglob("*.pt"))]
    assert len({name for (name,) in names}) == len(names) == 2


def test_a_step_that_is_read_in_two_parts_is_counted_once(rendered: Path, tmp_path: Path) -> None:
    """Validation after each batch reads the first of the two accumulated batches."""
    model = run(
        tmp_path, spoiled(rendered, batch_size=2), 4, accumulate_grad_batches=2, val_check_interval=1,
        limit_val_batches=1, log_every_n_steps=50,
    )  # fmt: skip
    assert counted(model) == ["step 1", "step 2"]


def test_the_scaler_s_own_steps_are_not_counted(rendered: Path, tmp_path: Path) -> None:
    """float16's scaler skips steps while it searches for a factor; a NaN loss is counted."""
    plugin = ScaledOnly(2.0**126)
    model = run(tmp_path, spoiled(rendered), 4, plugins=[plugin])
    assert plugin.scaler is not None
    assert plugin.scaler.get_scale() < 2.0**126
    assert counted(model) == [f"step {step}" for step in bad_steps(4)] == ["step 3"]


def test_samples_that_differ_are_said_to_differ(rendered: Path, tmp_path: Path) -> None:
    model = small_ddflow(learning_rate=1e-3, skip_non_finite=2)
    with pytest.raises(NonFiniteLossError, match=r"\nNo sample occurred twice in these 3 steps\.\n"):
        run(tmp_path, spoiled(rendered), 9, model, callbacks=[Spoil(9)])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (RuntimeError(), "RuntimeError"),
        (TypeError("what a state holds"), "what a state holds"),
    ],
)
def test_a_batch_that_cannot_be_written_hides_no_error(
    error: Exception, text: str, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = torch.save

    def save(content: Any, path: Any, **options: Any) -> None:
        if "non_finite_step" not in str(path):
            return original(content, path, **options)
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(NonFiniteLossError) as found:
        run(tmp_path, spoiled(rendered, batch_size=4), 9, small_ddflow())
    said = str(found.value)
    assert said.startswith("the loss is not finite at step 0")
    assert f"could not be written to {tmp_path}" in said
    assert f"non_finite_step_000000_rank0.pt: {text}." in said
    assert list(tmp_path.rglob("*non_finite_step*")) == []


def test_a_table_that_cannot_be_written_hides_no_error(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run" / "version_0" / "non_finite.csv").mkdir(parents=True)
    with pytest.raises(NonFiniteLossError):
        trainer(
            tmp_path, 9, limit_val_batches=0, logger=pl.loggers.CSVLogger(tmp_path, "run", version=0)
        ).fit(small_ddflow(), spoiled(rendered, batch_size=4))
    assert "non_finite.csv: Is a directory; not written: the loss is not finite" in capsys.readouterr().err


def test_data_that_fail_when_loaded_again_hide_no_error(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: InfiniteBatches, number: int) -> Batch:
        raise TypeError("a transform of somebody's")

    class Fail(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            monkeypatch.setattr(InfiniteBatches, "batch", fails)

    options: dict[str, Any] = {"callbacks": [Fail()], "log_every_n_steps": 9}
    with pytest.raises(NonFiniteLossError, match=r"could not be written to .*: a transform of somebody's"):
        run(tmp_path, spoiled(rendered, batch_size=4), 1, small_ddflow(), **options)
