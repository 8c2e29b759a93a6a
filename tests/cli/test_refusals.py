"""Mistakes in the use of `lightning` give one line with what to do; useless lines are not printed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flowdistill.cli.lightning import main
from flowdistill.networks import DDFlowNet
from flowdistill.training.init_from import init_from

Run = Callable[..., str]


@pytest.fixture
def run(
    rendered: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run `lightning SUBCOMMAND` in this process with its runs in tmp_path; return its output."""
    monkeypatch.chdir(Path(__file__).parents[2])

    def started(*options: str, subcommand: str = "fit", code: int = 2, steps: bool = True) -> str:
        configs = ("configs/demo/ddflow.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
        words = [
            subcommand, *(part for config in configs for part in ("--config", config)),
            "--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0",
            "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
            "--data.init_args.flow.train_split", str(rendered / "train.txt"),
            "--data.init_args.flow.val_split", str(rendered / "val.txt"),
            "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
            "--trainer.log_every_n_steps", "1", "--trainer.logger.init_args.save_dir", str(tmp_path),
            *(("--trainer.max_steps", "3", "--trainer.val_check_interval", "2") if steps else ()), *options,
        ]  # fmt: skip
        capfd.readouterr()
        assert main(words) == code
        out, err = capfd.readouterr()
        said = out + err
        assert "Traceback" not in said
        return said

    return started


@pytest.fixture
def trained(run: Run, tmp_path: Path) -> Path:
    run(code=0)
    return tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"


def test_weights_alone_are_to_be_given_to_init_from(trained: Path, run: Run, tmp_path: Path) -> None:
    whole = torch.load(trained, weights_only=True)
    weights = {name.removeprefix("network."): value for name, value in whole["state_dict"].items()}
    for number, content in enumerate(({"state_dict": whole["state_dict"]}, whole["state_dict"], weights)):
        path = tmp_path / f"weights{number}.ckpt"
        torch.save(content, path)
        for subcommand in ("fit", "validate", "predict"):
            options = ("--ckpt_path", str(path))
            said = run(*options, subcommand=subcommand, steps=subcommand == "fit")
            assert said.startswith(f"error: --ckpt_path: {path} contains weights only")
            assert "--model.init_args.init_from" in said
            assert said.count("\n") == 1
        network = DDFlowNet(0.125)
        assert init_from(network, path).startswith(f"filled all {len(weights)} tensors of DDFlowNet")
        for name, value in network.state_dict().items():
            assert torch.equal(value, weights[name]), name


def test_a_weight_of_no_place_is_named(trained: Path, run: Run, tmp_path: Path) -> None:
    stored = torch.load(trained, weights_only=True)
    stored["state_dict"]["foo.bar"] = torch.zeros(1)
    path = tmp_path / "more.ckpt"
    torch.save(stored, path)
    said = run("--ckpt_path", str(path), "--trainer.max_steps", "4")
    assert (
        "error: --ckpt_path: the checkpoint has weights that DDFlowModule does not have: foo.bar. To load"
        in said
    )


def test_early_stopping_names_the_metrics_and_says_its_stop(run: Run) -> None:
    early = (
        "--trainer.callbacks+",
        "pytorch_lightning.callbacks.EarlyStopping",
        "--trainer.callbacks.monitor",
    )
    said = run(*early, "val/rmse")
    assert (
        "error: EarlyStopping: validation logs no 'val/rmse'. It logs: val/bad3_mean_of_images, val/census, "
        in said
    )
    assert "val/epe_all" in said
    assert "train/" not in said
    said = run(*early, "val/epe_all", "--trainer.callbacks.mode", "max", "--trainer.callbacks.patience", "1",
               "--trainer.max_steps", "40", "--model.init_args.learning_rate", "0.0", code=0)  # fmt: skip
    assert "EarlyStopping at step 4: Monitored metric val/epe_all did not improve" in said


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--trainer.callbacks+", "pytorch_lightning.callbacks.LearningRateFinder"), "would overwrite"),
        (("--trainer.callbacks+", "pytorch_lightning.callbacks.BatchSizeFinder"), "accumulate_grad_batches"),
        (("--trainer.callbacks+", "pytorch_lightning.callbacks.GradientAccumulationScheduler",
          "--trainer.callbacks.scheduling", "{0: 2}"), "set trainer.accumulate_grad_batches"),
        (("--trainer.accumulate_grad_batches", "0"), "must be 1 or more, not 0"),
        (("--trainer.accumulate_grad_batches", "3"), "cannot divide it equally"),
        (("--trainer.max_epochs", "2", "--trainer.max_steps", "-1"), "max_steps is not set: training is counted in st"),
        (("--trainer.max_steps", "-1"), "max_steps is not set"),
    ],
)  # fmt: skip
def test_what_would_do_nothing_or_something_else_is_refused(
    options: tuple[str, ...], text: str, run: Run, tmp_path: Path
) -> None:
    said = run(*options)
    assert "error: " in said
    assert text in said
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(Path().glob(".lr_find*"))


def test_a_logger_without_its_package_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_lightning.loggers import tensorboard

    for name in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning_fabric.loggers.tensorboard.{name}", False)
    assert tensorboard is not None
    said = run(
        "--trainer.logger", "pytorch_lightning.loggers.TensorBoardLogger", "--trainer.logger.save_dir", "x"
    )
    assert "error: a class of the config needs a package that is not installed: Neither `tensorboard`" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("kind", ["a file", "nowhere"])
def test_a_folder_that_cannot_be_written_to(kind: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    place = str(file / "runs") if kind == "a file" else "/proc/nowhere"
    said = run("--trainer.logger.init_args.save_dir", place)
    assert f"error: cannot write to {place}" in said
    assert "--trainer.logger.init_args.save_dir" in said


def test_without_a_validation_split_nothing_is_validated(run: Run, tmp_path: Path) -> None:
    said = run("--data.init_args.flow.val_split", "null", code=0)
    assert "no validation: data.init_args.flow.val_split is null" in said
    assert "val/" not in (tmp_path / "runs" / "version_0" / "metrics.csv").read_text()
    last = str(tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt")
    start = ("--model.init_args.init_from", last, "--data.init_args.flow.val_split", "null")
    said = run(*start, subcommand="validate", steps=False)
    assert "data.init_args.flow.val_split is not set" in said


@pytest.mark.parametrize(
    ("environment", "starter"),
    [
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, "torchrun"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "srun"),
    ],
)
def test_processes_that_would_each_train_alone(
    environment: dict[str, str], starter: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert f"error: {starter} started 2 processes, but trainer.devices x trainer.num_nodes is 1" in run()


def test_a_plain_fit_says_little(
    run: Run, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    said = run(code=0)
    assert said == "batch of 2 = 1 process x 1 accumulated batch x 2 samples\n"
    lines = [record.getMessage() for record in caplog.records]
    assert not [line for line in lines if "Tip" in line or "TPU" in line or "weights_only" in line]
    assert any("max_steps=3" in line for line in lines)
