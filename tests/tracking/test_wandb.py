"""W&B runs, read back from their files by an independent reader: content, location, resuming."""

import csv
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import wandb
import yaml
from wandb_file import WandbRun, run_file

from flowdistill.cli.lightning import main
from flowdistill.data.datasets import open_dataset
from flowdistill.visual import flow_to_colours

REPOSITORY = Path(__file__).parents[2]
KEY = "0123456789abcdef" * 2 + "feedface"
Fit = Callable[..., str]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No account, regardless of this machine; each test has its own wandb service."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staging"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))
    wandb.teardown()
    yield
    wandb.teardown()


def words(rendered: Path, save_dir: Path, model: str = "ddflow") -> list[str]:
    """`lightning fit` of four steps, validated every two."""
    configs = (f"demo/{model}", "data/rendered", "trainer/cpu", "logger/wandb")
    return [
        "fit", *(part for name in configs for part in ("--config", f"{REPOSITORY}/configs/{name}.yaml")),
        "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
        "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
        *(f"--data.init_args.{view}.{use}_split={rendered / use}.txt" for view in ("flow", "scene_flow")
          for use in ("train", "val")),
        "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
        "--trainer.log_every_n_steps", "1", "--trainer.max_steps", "4", "--trainer.val_check_interval", "2",
        "--pictures.every_n_steps", "2", "--trainer.logger.init_args.save_dir", str(save_dir),
    ]  # fmt: skip


@pytest.fixture
def fit(rendered: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Fit:
    """`lightning fit` in this process, with its runs in tmp_path/runs; returns what it printed."""

    def started(*options: str, model: str = "ddflow", code: int = 0) -> str:
        capfd.readouterr()
        with_logs = list_loggers(words(rendered, tmp_path, model), tmp_path)
        assert main([*with_logs, *options]) == code
        wandb.teardown()  # as at the end of a process, to complete the file
        out, err = capfd.readouterr()
        return out + err

    return started


def list_loggers(given: list[str], save_dir: Path, **wandb_options: str | bool) -> list[str]:
    """The loggers of configs/logger/wandb.yaml, with another save_dir: a list has no keys to override."""
    loggers = yaml.safe_load((REPOSITORY / "configs/logger/wandb.yaml").read_text())["trainer"]["logger"]
    loggers[0]["init_args"]["save_dir"] = str(save_dir)
    loggers[1]["init_args"] |= wandb_options
    at = given.index("--trainer.logger.init_args.save_dir")
    return [*given[:at], "--trainer.logger", json.dumps(loggers), *given[at + 2 :]]


def test_a_run_holds_everything(rendered: Path, tmp_path: Path) -> None:
    given = [*words(rendered, tmp_path), "--best.metric", "val/epe_all"]
    assert main(list_loggers(given, tmp_path, log_model=True)) == 0
    wandb.teardown()
    folder = tmp_path / "runs" / "version_0"
    run = WandbRun(run_file(folder))
    assert (run.project, run.job_type, run.exit_code) == ("flowdistill", "fit", 0)
    assert json.loads((folder / "wandb.json").read_text())["id"] == run.id

    # The whole config, as in config.yaml.
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    assert {"data", "model", "trainer"} <= set(stored)
    assert {name: run.config[name] for name in ("data", "model", "best")} == {
        name: stored[name] for name in ("data", "model", "best")
    }
    assert run.config["trainer"]["max_steps"] == 4
    assert run.config["run_folder"] == str(folder)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert run.config["code"]["commit"] == head.stdout.strip()

    # Every number of the CSV log, at its step.
    with (folder / "metrics.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    names = set(rows[0]) - {"step", "epoch"}
    assert names >= {
        "train/loss", "train/abs_robust_mean_no_occlusion", "weight/abs_robust_mean_no_occlusion", "lr-Adam",
        "train/gradient_norm", "train/occluded_share", "val/epe_all", "val/fl_all", "val/census",
        "pace/samples_per_second", "pace/data_wait_share",
    }  # fmt: skip
    for name in names:
        logged = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        assert logged, name
        assert np.allclose(run.values(name), logged, rtol=1e-6, equal_nan=True), name

    # Pictures of the same samples, every two steps; the ground truth is drawn as for files.
    kinds = (
        "left_t0",
        "left_t1",
        "flow_predicted",
        "flow_true",
        "flow_error",
        "occluded_predicted",
        "occluded_true",
    )
    assert set(run.images) == {f"pictures/{kind}" for kind in kinds}
    for shown in run.images.values():
        assert [each["captions"] for each in shown] == [["000002_00", "000002_01"]] * 2
        assert all((each["width"], each["height"]) == (128, 64) for each in shown)
    file = run_file(folder).parent / "files" / run.images["pictures/flow_true"][0]["filenames"][0]
    sample = open_dataset("kitti2015", str(rendered), str(rendered / "val.txt"), "flow", True, None)[0]
    truth = np.asarray(sample["flow"]).transpose(1, 2, 0)
    expected = flow_to_colours(truth, None, np.asarray(sample["valid_flow"])[0])
    assert np.array_equal(cv2.imread(str(file))[..., ::-1], expected)

    # Checkpoints with their card.
    cards = ["run_card.json", "run_card.md"]
    assert [(name, set(aliases), files) for name, aliases, files in run.artifacts] == [
        (f"model-{run.id}", {"last", "latest"}, ["last.ckpt", *cards]),
        (f"model-{run.id}", {"best", "latest"}, ["best.ckpt", *cards]),
    ]


def test_scene_flow_shows_disparity_too(fit: Fit, tmp_path: Path) -> None:
    fit("--trainer.max_steps", "2", model="dwarf")
    run = WandbRun(run_file(tmp_path))
    motions = ("flow", "disparity_t0", "disparity_t1")
    assert {f"pictures/{name}_{kind}" for name in motions for kind in ("predicted", "true", "error")} <= set(
        run.images
    )
    assert {f"weight/alphas.{level}" for level in (2, 3, 4, 5, 6)} <= set(run.history[1])
    assert 0 <= run.values("train/masked_share")[0][1] < 0.5
    assert not run.artifacts  # log_model: false


def test_a_resumed_run_goes_on_in_the_same_wandb_run(fit: Fit, tmp_path: Path) -> None:
    fit("--trainer.max_steps", "2")
    first = WandbRun(run_file(tmp_path / "runs"))
    # In its folder, by `last` and by the folder; in a new folder, by a file.
    fit("--ckpt_path", "last")
    fit("--trainer.max_steps", "6", "--ckpt_path", str(tmp_path / "runs" / "version_0"))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["version_0"]
    fit("--trainer.max_steps", "8", "--ckpt_path", str(tmp_path / "runs/version_0/checkpoints/last.ckpt"))
    files = sorted((tmp_path / "runs").rglob("*.wandb"))
    assert [file.relative_to(tmp_path / "runs").parts[0] for file in files] == ["version_0"] * 3 + [
        "version_1"
    ]
    parts = [WandbRun(file) for file in files]
    assert {part.id for part in parts} == {first.id}
    steps = [step for part in parts for step, _ in part.values("train/loss")]
    assert steps == list(range(8))
    # A separate training has its own run.
    fit("--trainer.max_steps", "2")
    assert WandbRun(run_file(tmp_path / "runs" / "version_2")).id != first.id


def test_wandb_alone_gives_each_run_its_folder(fit: Fit, tmp_path: Path) -> None:
    alone = (
        "--trainer.logger",
        "WandbLogger",
        "--trainer.logger.project",
        "p",
        "--trainer.logger.save_dir",
        str(tmp_path),
    )
    fit("--trainer.max_steps", "2", *alone)
    fit("--trainer.max_steps", "2", *alone)
    folders = sorted((tmp_path / "p").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert (folder / "config.yaml").is_file()
        assert (folder / "run_card.json").is_file()
        assert (folder / "checkpoints" / "last.ckpt").is_file()
        assert WandbRun(run_file(folder)).id == folder.name
    assert not list(tmp_path.glob("*.yaml"))
    # The same id again: an error of one line, or resumed in place.
    again = (*alone, "--trainer.logger.id", folders[0].name)
    said = fit(*again, code=2)
    assert f"{folders[0]} already contains a run" in said
    assert "Traceback" not in said
    fit(*again, "--ckpt_path", "last")
    assert torch.load(folders[0] / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    assert (folders[0] / "config_resumed_1.yaml").is_file()


def test_an_id_that_another_folder_has_is_one_line(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "mine")  # as by a sweep agent, or left over in a shell
    fit("--trainer.max_steps", "1")
    assert WandbRun(run_file(tmp_path / "runs")).id == "mine"
    said = fit("--trainer.max_steps", "1", code=2)
    assert f"the W&B run mine is used by {tmp_path}/runs/version_0" in said


def test_a_trial_of_wandbs_agent_is_its_run(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment as set by the agent for a trial."""
    (tmp_path / "config-r1.yaml").write_text(
        "wandb_version: 1\nmodel.init_args.learning_rate: {value: 0.002}\n"
    )
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(tmp_path / "config-r1.yaml"))
    for trial in ("r1", "r2"):
        monkeypatch.setenv("WANDB_RUN_ID", trial)
        fit("--trainer.max_steps", "2", "--model.init_args.learning_rate=0.002")
    runs = [WandbRun(run_file(tmp_path / "runs" / version)) for version in ("version_0", "version_1")]
    assert [(run.id, run.sweep) for run in runs] == [("r1", "abcd1234"), ("r2", "abcd1234")]
    for run in runs:
        assert run.config["model.init_args.learning_rate"] == 0.002  # used by the sweep's charts
        assert run.config["model"]["init_args"]["learning_rate"] == 0.002
        assert run.values("val/epe_all")


def test_validation_has_a_run_of_its_own(fit: Fit, rendered: Path, tmp_path: Path) -> None:
    fit("--trainer.max_steps", "2")
    given = list_loggers(words(rendered, tmp_path), tmp_path)
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    assert main(["validate", *given[1:], "--ckpt_path", str(last)]) == 0
    wandb.teardown()
    run = WandbRun(run_file(tmp_path / "runs" / "version_1"))
    assert run.job_type == "validate"
    assert any("val/epe_all" in row for row in run.history)
    assert not (tmp_path / "runs" / "version_1" / "wandb.json").exists()


def test_without_a_key_the_run_stays_on_the_disk(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    said = fit("--trainer.max_steps", "2")
    assert "W&B: no API key on this machine" in said
    assert "upload it later: wandb sync" in said
    assert WandbRun(run_file(tmp_path / "runs")).values("train/loss")


@pytest.mark.slow  # wandb itself waits for 15 seconds
def test_without_a_network_the_run_stays_on_the_disk_and_keeps_its_key(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that accepts connections and does not respond, as behind some firewalls."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent: list[socket.socket] = []
        threading.Thread(
            target=lambda: [silent.append(server.accept()[0]) for _ in range(50)], daemon=True
        ).start()
        monkeypatch.delenv("WANDB_MODE")
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
        said = fit("--trainer.max_steps", "2")
    assert silent, "wandb asked nobody"
    assert "This run is written to disk" in said
    (file,) = (tmp_path / "runs" / "version_0" / "wandb").glob("offline-*/*.wandb")
    assert WandbRun(file).values("train/loss")
    written = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(written) > 10
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    assert KEY not in said


def test_a_key_in_a_config_is_refused(fit: Fit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "trainer: {logger: {class_path: pytorch_lightning.loggers.WandbLogger, "
        f"init_args: {{project: p}}, dict_kwargs: {{settings: {{api_key: {KEY}}}}}}}}}\n"
    )
    said = fit("--config", str(config), code=2)
    assert "trainer.logger.init_args.settings.api_key contains an account key" in said
    assert KEY not in said
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    said = fit("--data.init_args.root", KEY, code=2)
    assert "data.init_args.root contains an account key" in said
    assert not (tmp_path / "runs").exists()


def test_one_process_of_two_writes(rendered: Path, tmp_path: Path) -> None:
    given = list_loggers(words(rendered, tmp_path), tmp_path)
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.init_args.batch_size", "2"]
    command = [sys.executable, "-m", "flowdistill.cli.lightning", *given, *two]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    run = WandbRun(run_file(tmp_path / "runs"))
    assert [step for step, _ in run.values("train/loss")] == [0, 1, 2, 3]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"version_0"}
    assert [len(shown) for shown in run.images.values()] == [2] * len(run.images)


@pytest.mark.slow
def test_a_killed_run_can_be_read_up_to_its_end(rendered: Path, tmp_path: Path) -> None:
    given = list_loggers(words(rendered, tmp_path), tmp_path)
    command = [sys.executable, "-m", "flowdistill.cli.lightning", *given, "--trainer.max_steps", "100000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        log = tmp_path / "runs" / "version_0" / "metrics.csv"
        for _ in range(1200):
            if log.is_file() and log.read_text().count("\n") > 60:
                break
            assert process.poll() is None
            threading.Event().wait(0.1)
        process.kill()
    run = WandbRun(run_file(tmp_path / "runs"))
    assert run.values("train/loss")
    assert run.exit_code is None
