"""A folder for each run: started concurrently, with its own name, used twice, extended."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from flowdistill.cli.lightning import main
from flowdistill.tracking.folders import claim_versions

REPOSITORY = Path(__file__).parents[2]
Fit = Callable[..., str]

CLAIM = """
import sys
import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger
from flowdistill.tracking.folders import claim_versions
loggers = [CSVLogger(sys.argv[1], name="runs") for _ in range(25)]
for logger in loggers:
    trainer = pl.Trainer(accelerator="cpu", logger=logger, enable_checkpointing=False, barebones=False)
    claim_versions(trainer)
print("ready", flush=True)
sys.stdin.readline()
print(*[logger.version for logger in loggers], flush=True)
"""


@pytest.fixture
def fit(rendered: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Fit:
    """`lightning fit` of a few steps in this process, with its runs in tmp_path/runs; returns what it printed."""

    def started(*options: str, code: int = 0) -> str:
        configs = [
            f"{REPOSITORY}/configs/{name}.yaml" for name in ("demo/ddflow", "data/rendered", "trainer/cpu")
        ]
        words = [
            "fit", *(part for config in configs for part in ("--config", config)),
            "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
            "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
            f"--data.init_args.flow.train_split={rendered}/train.txt",
            f"--data.init_args.flow.val_split={rendered}/val.txt",
            "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
            "--trainer.log_every_n_steps", "1", "--trainer.val_check_interval", "2", "--trainer.max_steps", "2",
            "--trainer.logger.init_args.save_dir", str(tmp_path), *options,
        ]  # fmt: skip
        capfd.readouterr()
        assert main(words) == code
        out, err = capfd.readouterr()
        return out + err

    return started


def test_runs_that_start_at_the_same_moment_get_folders_of_their_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    versions = [version for racer in racers for version in racer.communicate(timeout=60)[0].split()]
    assert sorted(map(int, versions)) == list(range(50))
    assert len(list((tmp_path / "runs").iterdir())) == 50


def test_loggers_of_one_run_share_its_folder(tmp_path: Path) -> None:
    (tmp_path / "runs" / "version_4").mkdir(parents=True)
    loggers = [
        CSVLogger(tmp_path, name="runs"),
        TensorBoardLogger(tmp_path, name="runs"),
        CSVLogger(tmp_path, name="b"),
    ]
    claim_versions(pl.Trainer(accelerator="cpu", logger=loggers, enable_checkpointing=False))
    assert [logger.version for logger in loggers] == [5, 5, 0]


def test_a_folder_that_holds_a_run_is_refused_or_gone_on_in(fit: Fit, tmp_path: Path) -> None:
    named = ("--trainer.logger.init_args.version", "mine")
    fit(*named)
    log = tmp_path / "runs" / "mine" / "metrics.csv"
    before = log.read_bytes()
    said = fit(*named, code=2)
    last = tmp_path / "runs" / "mine" / "checkpoints" / "last.ckpt"
    assert f"{tmp_path}/runs/mine already contains a run" in said
    assert f"Resume it with `--ckpt_path {last}`" in said
    assert "Traceback" not in said
    assert log.read_bytes() == before
    # Also if another run is newer.
    fit()
    said = fit(*named, "--trainer.max_steps", "4", "--ckpt_path", "last")
    assert f"--ckpt_path last: {last} (step 2)" in said
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["mine", "version_0"]
    fit(*named, "--trainer.max_steps", "6", "--ckpt_path", str(last.parents[1]))
    assert sorted(path.name for path in last.parents[1].glob("config*")) == [
        "config.yaml", "config_resumed_1.yaml", "config_resumed_2.yaml"
    ]  # fmt: skip
    said = fit(*named, "--ckpt_path", str(tmp_path), code=2)
    assert f"--ckpt_path: {tmp_path} is not a run's folder with a checkpoint" in said


def test_a_run_that_came_to_no_checkpoint_is_started_over(fit: Fit, tmp_path: Path) -> None:
    named = ("--trainer.logger.init_args.version", "mine", "--ckpt_path", "last")
    folder = tmp_path / "runs" / "mine"
    fit(*named)
    for checkpoint in (folder / "checkpoints").iterdir():
        checkpoint.unlink()  # as if it had been killed before its first
    before = (folder / "metrics.csv").read_bytes()
    said = fit(*named)
    assert f"{folder} contains a run without a checkpoint; its files were moved to attempt_1/" in said
    assert (folder / "attempt_1" / "metrics.csv").read_bytes() == before
    assert (folder / "checkpoints" / "last.ckpt").is_file()


def test_a_run_that_is_given_more_steps_counts_on(fit: Fit, tmp_path: Path) -> None:
    """Its log equals that of a run with all steps from the start, except for timings."""
    fit("--trainer.max_steps", "4")
    fit("--trainer.max_steps", "8", "--ckpt_path", "last")
    fit("--trainer.max_steps", "8", "--trainer.logger.init_args.version", "whole")

    def rows(version: str) -> list[dict[str, str]]:
        with (tmp_path / "runs" / version / "metrics.csv").open() as opened:
            return [
                {name: value for name, value in row.items() if not name.startswith(("pace/", "epoch"))}
                for row in csv.DictReader(opened)
            ]

    assert rows("version_0") == rows("whole")
