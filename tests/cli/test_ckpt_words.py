"""`--ckpt_path last`, `best` and `hpc`: the run's own checkpoint, or a line with the reason why there is none."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flowdistill.cli.lightning import main

Run = Callable[..., str]
FEW = ("--trainer.max_steps", "3", "--trainer.val_check_interval", "2")


@pytest.fixture
def run(
    rendered: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run `lightning SUBCOMMAND` in this process with its runs in tmp_path; return its output."""
    monkeypatch.chdir(Path(__file__).parents[2])

    def started(subcommand: str, *options: str, code: int = 0) -> str:
        configs = ("configs/demo/ddflow.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
        words = [
            subcommand, *(part for config in configs for part in ("--config", config)),
            "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
            "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
            "--data.init_args.flow.train_split", str(rendered / "train.txt"),
            "--data.init_args.flow.val_split", str(rendered / "val.txt"),
            "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
            "--trainer.log_every_n_steps", "1", "--trainer.logger.init_args.save_dir", str(tmp_path), *options,
        ]  # fmt: skip
        capfd.readouterr()
        assert main(words) == code
        out, err = capfd.readouterr()
        return out + err

    return started


def test_fit_last_starts_afresh_and_then_goes_on_in_the_run(run: Run, tmp_path: Path) -> None:
    said = run("fit", *FEW, "--ckpt_path", "last")
    assert (
        f"--ckpt_path last: no last.ckpt of a run with these settings in {tmp_path}/runs; starting from scratch"
        in said
    )
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    said = run("fit", *FEW, "--trainer.max_steps", "5", "--ckpt_path", "last")
    assert f"--ckpt_path last: {last} (step 3)" in said
    assert torch.load(last, weights_only=True)["global_step"] == 5
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["version_0"]
    # Repeating the same command does nothing and is harmless.
    before = (last.parents[1] / "metrics.csv").read_text()
    run("fit", *FEW, "--trainer.max_steps", "5", "--ckpt_path", "last")
    assert (last.parents[1] / "metrics.csv").read_text() == before


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_without_a_checkpoint_nothing_is_evaluated(subcommand: str, run: Run, tmp_path: Path) -> None:
    for word in ("last", "best"):
        said = run(subcommand, "--ckpt_path", word, code=2)
        assert (
            f"error: --ckpt_path {word}: no {word}.ckpt of a run with these settings in {tmp_path}/runs"
            in said
        )
    assert "error: --ckpt_path hpc: flowdistill saves no such files" in run(
        subcommand, "--ckpt_path", "hpc", code=2
    )


def test_evaluation_takes_the_newest_run_of_the_name_with_these_settings(run: Run, tmp_path: Path) -> None:
    run("fit", *FEW, "--best.metric", "val/epe_all")
    run("fit", *FEW, "--model.init_args.learning_rate", "0.5")
    first, second = (tmp_path / "runs" / f"version_{n}" / "checkpoints" / "last.ckpt" for n in range(2))
    said = run("validate", "--ckpt_path", "last", "--trainer.logger.init_args.name", "runs")
    assert f"--ckpt_path last: {first} (step 3)" in said
    assert f"skipped: {second}: learning_rate (was 0.5, is " in said
    said = run("validate", "--ckpt_path", "last", "--model.init_args.learning_rate", "0.5")
    assert f"--ckpt_path last: {second} (step 3)" in said
    said = run("validate", "--ckpt_path", "best")
    assert f"--ckpt_path best: {first.with_name('best.ckpt')} (step 2)" in said
    said = run("validate", "--ckpt_path", "last", "--model.init_args.width", "0.25", code=2)
    assert len(re.findall(r"skipped: .*width \(was 0\.125, is 0\.25\)", said)) == 2
    other = run("validate", "--ckpt_path", "last", "--trainer.logger.init_args.name", "other", code=2)
    assert f"in {tmp_path}/other" in other


def test_a_damaged_last_one_falls_back_to_the_one_before(run: Run, tmp_path: Path) -> None:
    every = (
        "--trainer.callbacks",
        "flowdistill.training.Checkpoints",
        "--trainer.callbacks.every_n_train_steps",
        "2",
    )
    run("fit", *every, "--trainer.max_steps", "5", "--trainer.val_check_interval", "100")
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    said = run("fit", *every, "--trainer.max_steps", "6", "--ckpt_path", "last")
    assert f"{last} is damaged; falling back to step_000000004.ckpt, step 4" in said
    assert "step_000000004.ckpt (step 4)" in said
    assert torch.load(last, weights_only=True)["global_step"] == 6
    assert len((last.parents[1] / "metrics.csv").read_text().splitlines()) == 1 + 6
    # Given by path, it is an error with the file name.
    last.write_bytes(whole[: len(whole) // 2])
    assert f"--ckpt_path: {last} is not a checkpoint" in run("fit", "--ckpt_path", str(last), code=2)


def test_a_pickle_under_that_name_runs_no_code(run: Run, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    folder = tmp_path / "runs" / "version_0" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"state_dict": {}, "evil": Evil()}, folder / "last.ckpt")
    for options in ((), ("--weights_only", "false"), ("--trainer.logger.init_args.version", "0")):
        said = run("validate", "--ckpt_path", "last", *options, code=2)
        assert f"skipped: --ckpt_path: {folder / 'last.ckpt'} is not a checkpoint" in said
    assert not (tmp_path / "ran").exists()


def test_other_data_than_before_are_refused_unless_accepted(run: Run, rendered: Path, tmp_path: Path) -> None:
    run("fit", *FEW)
    last = str(tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt")
    more = ("--trainer.max_steps", "4", "--ckpt_path", last)
    fewer = tmp_path / "fewer.txt"
    fewer.write_text("000000_00\n000000_01\n000001_00\n")
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("000001_01\n")
    moved = tmp_path / "moved"
    shutil.copytree(rendered, moved)
    run("fit", *more, "--data.init_args.root", str(moved), "--data.init_args.num_workers", "1")
    for options, text in {
        ("--data.init_args.seed", "5"): r"seed \(was 0, is 5\)",
        ("--data.init_args.batch_size", "1"): r"batch_size \(was 2, is 1\)",
        (
            "--data.init_args.flow.train_split",
            str(fewer),
        ): r"split \(was kitti2015, 4 samples, \w+, is kitti2015, 3 sa",
        ("--data.init_args.exclude", str(exclude)): r"split's exclusions \(was None, is \w+\)",
        ("--data.init_args.flow.colour_probability", "0.5"): r"colour_probability \(was None, is 0\.5\)",
        ("--data.init_args.flow.crop", "[64, 64]"): r"crop \(was None, is \[64, 64\]\)",
    }.items():
        said = run("fit", *more, *options, code=2)
        assert re.search(rf"error: --ckpt_path resumes a run on its original data, but .*{text}", said), said
    said = run("fit", *more, "--data.init_args.seed", "5", "--resume.changed", "accept")
    assert "resuming with changed data: seed (was 0, is 5)" in said
    rate = ("--model.init_args.learning_rate", "0.5")
    said = run("fit", *more, *rate, code=2)
    assert "to resume anyway, --resume.changed accept" in said
    said = run("fit", *more, *rate, "--resume.changed", "accept")
    assert "resuming with changed settings: learning_rate (was" in said


def test_a_checkpoint_of_version_0_1_is_resumed(run: Run, tmp_path: Path) -> None:
    """The old format: other callbacks' state, and nothing about the data, the log or skipped steps."""
    run("fit", *FEW)
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    stored = torch.load(last, weights_only=True)
    for name in ("data", "train_row", "non_finite"):
        del stored[name]
    for name in ("compile", "skip_non_finite", "checkpoint_activations"):
        del stored["hyper_parameters"][name]
    key = "Checkpoints{'monitor': None, 'mode': 'min', 'every_n_train_steps': 100, 'every_n_epochs': 0}"
    stored["callbacks"][key] = {"best_model_path": str(last), "dirpath": str(last.parent)}
    old = tmp_path / "old.ckpt"
    torch.save(stored, old)
    said = run("fit", *FEW, "--trainer.max_steps", "5", "--ckpt_path", str(old))
    assert "error" not in said
    resumed = tmp_path / "runs" / "version_1" / "checkpoints" / "last.ckpt"
    assert torch.load(resumed, weights_only=True)["global_step"] == 5
