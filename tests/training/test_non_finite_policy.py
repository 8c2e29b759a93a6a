"""A NaN label at a known step: the run stops or skips the step; the dumped batch reproduces it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from spoiled_data import BAD, bad_steps, fit, spoiled

from flowdistill.cli.flowdistill import main as flowdistill
from flowdistill.data.sampler import sample_index
from flowdistill.training import DDFlowModule, NonFiniteLossError
from small_trainer import flow_data, small_ddflow, trainer

TESTS = Path(__file__).parents[1]


def test_so_many_steps_are_passed_over_and_each_is_said(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = bad_steps(12)
    assert len(bad) == 3
    model = fit(tmp_path, spoiled(rendered), 12, skip_non_finite=3)
    said = capsys.readouterr().err
    for number, step in enumerate(bad, start=1):
        assert f"warning: the loss is not finite at step {step}" in said
        assert f"{number} of at most 3 skipped steps (skip_non_finite). Its batch is in " in said
    folder = tmp_path / "run" / "version_0"
    with (folder / "non_finite.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == bad
    assert all("samples of this batch: 000001_01" in row["values and samples"] for row in rows)
    files = sorted(path.name for path in folder.glob("*.pt"))
    assert files == [f"non_finite_step_{step:06d}_rank0.pt" for step in bad]
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())


def test_one_more_ends_the_run_also_after_a_resume(rendered: Path, tmp_path: Path) -> None:
    first, second, third = bad_steps(12)
    fit(tmp_path, spoiled(rendered), first + 2, skip_non_finite=2)
    last = tmp_path / "run" / "version_0" / "checkpoints" / "last.ckpt"
    with pytest.raises(NonFiniteLossError) as error:
        fit(tmp_path, spoiled(rendered), 99, resume=last, skip_non_finite=2)
    text = str(error.value)
    assert text.startswith(f"the loss is not finite at step {third}")
    assert "\nSamples that occurred more than once in these 3 steps: 000001_01 (3 times).\n" in text
    assert f"Skipped before it: step {first}: loss = nan, " in text
    assert f"; step {second}: loss = nan" in text
    saved = tmp_path / "run" / "version_1" / "checkpoints" / "last.ckpt"
    step = torch.load(saved, weights_only=True)["global_step"]
    assert text.endswith(f"Resume before it with --ckpt_path {saved} (step {step}; its weights are finite).")


def test_without_a_checkpoint_it_says_that_there_is_none(rendered: Path, tmp_path: Path) -> None:
    everything = spoiled(rendered, batch_size=4)  # every batch has it
    with pytest.raises(NonFiniteLossError, match="No checkpoint of this run exists yet"):
        fit(tmp_path, everything, 9)


def test_the_checkpoint_that_is_named_is_finite(rendered: Path, tmp_path: Path) -> None:
    """A newer checkpoint with NaN, for example from another program, is not suggested for resuming."""
    from flowdistill.training.non_finite import newest_finite

    fit(tmp_path, flow_data(rendered), 5)
    folder = tmp_path / "run" / "version_0" / "checkpoints"
    assert newest_finite(folder).startswith(
        f"Resume before it with --ckpt_path {folder / 'last.ckpt'} (step 5;"
    )
    stored = torch.load(folder / "last.ckpt", weights_only=True)
    next(iter(stored["state_dict"].values()))[0] = torch.nan
    torch.save(stored, folder / "last.ckpt")
    assert newest_finite(folder).startswith(
        f"Resume before it with --ckpt_path {folder / 'step_000000004.ckpt'} (step 4;"
    )


@pytest.fixture
def dump(rendered: Path, tmp_path: Path) -> Path:
    with pytest.raises(NonFiniteLossError, match="flowdistill debug batch"):
        fit(tmp_path, spoiled(rendered, batch_size=2), 9)
    return next(tmp_path.rglob("*.pt"))


def test_the_file_holds_the_batch_that_was_trained_on(dump: Path, rendered: Path) -> None:
    stored = torch.load(dump, weights_only=True)
    step = bad_steps(9, batch_size=2)[0]
    assert (stored["step"], stored["rank"], stored["seed"]) == (step, 0, 0)
    assert all(np.isnan(value) for value in stored["values"].values())
    seen: dict[str, Any] = {}

    class See(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, *_: Any) -> None:
            if trainer.global_step == step:
                seen.update(batch)

    run = trainer(dump.parent / "again", step + 1, callbacks=[See()], limit_val_batches=0)
    run.fit(small_ddflow(), flow_data(rendered))
    assert stored["batch"]["name"] == seen["name"]
    for name, value in seen.items():
        if isinstance(value, torch.Tensor):
            other = stored["batch"][name].clone()
            if name == "left_t1":
                row = seen["name"].index(BAD[0])
                assert torch.isnan(other[row, 0, 5, 7])
                other[row, 0, 5, 7] = value[row, 0, 5, 7]
            assert torch.equal(other, value), name


def test_the_command_names_the_first_module(
    dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    assert flowdistill(["debug", "batch", str(dump), "--output", str(pictures)]) == 1
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("left_t1"))
    assert line.split()[1:3] == ["2x3x64x128", "float32"]
    assert line.split()[-2:] == ["1", "0"]
    first = "network.extractor." + next(
        name
        for name, module in small_ddflow().network.extractor.named_modules()
        if not list(module.children())
    )
    assert f"first module whose output is not finite: {first} (" in said
    assert "weights whose gradient is not finite: " in said
    files = sorted(pictures.iterdir())
    assert len(files) == 2
    magenta = [(cv2.imread(str(file)) == (255, 0, 255)).all(axis=-1).sum() for file in files]
    assert sorted(magenta) == [0, 1]


def test_a_batch_that_is_in_order_says_so(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = torch.load(dump, weights_only=True)
    stored["batch"]["left_t1"] = torch.nan_to_num(stored["batch"]["left_t1"])
    # Keys added by `lightning`, which builds the module.
    stored["hyper_parameters"] |= {"_class_path": "flowdistill.training.DDFlowModule", "_instantiator": "x"}
    torch.save(stored, dump)
    assert flowdistill(["debug", "batch", str(dump)]) == 0
    said = capsys.readouterr().out
    assert "every module's output is finite\nevery gradient is finite" in said


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1)}}, other)
    assert flowdistill(["debug", "batch", str(other)]) == 2
    assert f"error: {other} is not a batch of a training run" in capsys.readouterr().err


def test_a_foreign_loader_s_batch_is_not_made_up(tmp_path: Path) -> None:
    batch = {
        "left_t0": torch.full((1, 3, 64, 64), torch.nan), "left_t1": torch.rand(1, 3, 64, 64), "name": ["a"],
        "size": torch.tensor([[64, 64]]),
    }  # fmt: skip
    model = DDFlowModule({"abs_robust_mean_no_occlusion": 1.0}, width=0.125)
    with pytest.raises(
        NonFiniteLossError, match="could not be loaded again: the data module is not flowdistill's"
    ):
        trainer(tmp_path, 3, limit_val_batches=0).fit(
            model, torch.utils.data.DataLoader([batch] * 3, batch_size=None)
        )
    assert not list(tmp_path.rglob("*.pt"))


def run_two(folder: Path, root: Path) -> None:
    """Two processes, the second with the spoiled sample in some steps; then a run with one skip too few."""
    said = []
    for number, skip in enumerate((9, 1)):
        model = small_ddflow(learning_rate=1e-3, skip_non_finite=skip)
        run = trainer(
            folder / str(number), 8, devices=2, strategy="ddp", limit_val_batches=0, log_every_n_steps=3,
            logger=pl.loggers.CSVLogger(folder / str(number), "run"), enable_checkpointing=False,
        )  # fmt: skip
        try:
            run.fit(model, spoiled(root, batch_size=2))
            said.append("done")
        except NonFiniteLossError as error:
            said.append(str(error))
    sums = sum(float(weight.double().abs().sum()) for weight in model.parameters())
    rank = os.environ.get("LOCAL_RANK", "0")
    (folder / f"{rank}.json").write_text(json.dumps({"said": said, "sums": sums}))


def test_two_processes_count_and_end_together(rendered: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(TESTS))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, __file__, str(tmp_path), str(rendered)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert one == other
    bad = bad_steps(8, batch_size=2)
    assert one["said"][0] == "done"
    assert one["said"][1].startswith(f"the loss is not finite at step {bad[1]}")
    files = sorted(path.name for path in (tmp_path / "0").rglob("*.pt"))
    ranks = [[sample_index(0, 2 * step + i, 4) for i in range(2)].index(3) for step in bad]
    assert files == sorted(
        f"non_finite_step_{step:06d}_rank{rank}.pt" for step, rank in zip(bad, ranks, strict=True)
    )
    assert set(ranks) == {0, 1}  # it occurred on both processes
    assert done.stderr.count(f"the loss is not finite at step {bad[0]}") == 2  # once per run


if __name__ == "__main__":
    run_two(Path(sys.argv[1]), Path(sys.argv[2]))
