"""A user's mistake gives a short message and exit code 2, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowdistill.cli.lightning import main

ROOT = Path(__file__).parents[2]
CONFIGS = ("configs/ddflow/photometric.yaml", "configs/data/kitti.yaml", "configs/trainer/cpu.yaml")


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DATA_ROOT", raising=False)


def arguments(*more: str, tmp_path: Path) -> list[str]:
    composed = [part for config in CONFIGS for part in ("--config", config)]
    small = [
        "--model.init_args.width",
        "0.25",
        "--trainer.max_steps",
        "1",
        "--trainer.enable_model_summary",
        "false",
    ]
    quiet = ["--trainer.logger.init_args.save_dir", str(tmp_path), "--trainer.enable_progress_bar", "false"]
    return ["fit", *composed, *small, *quiet, *more]


def run(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str]:
    """Exit code and stderr, whether the command returned or exited."""
    try:
        code = main(list(command))
    except SystemExit as stop:
        code = int(stop.code or 0)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return code, error


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--model.init_args.wdith", "0.5"], "Option 'wdith' is not accepted"),
        (["--trainer.max_stepz", "3"], "--trainer.max_stepz"),
        (["--config", "configs/none.yaml"], "configs/none.yaml"),
        (["--data.init_args.flow.crop", "big"], "crop"),
    ],
)
def test_unknown_keys(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, wrong: list[str], named: str
) -> None:
    code, error = run(capsys, *arguments(*wrong, tmp_path=tmp_path))
    assert code == 2
    assert named in error
    message = error[error.index("error:") :]
    assert len(message.splitlines()) <= 12
    assert "lightning fit --help" in message


def test_an_unknown_key_in_a_yaml_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("model:\n  init_args:\n    loses: {census_occlusion: 1.0}\n")
    code, error = run(capsys, *arguments("--config", str(wrong), tmp_path=tmp_path))
    assert code == 2
    assert "loses" in error


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], ["--data.init_args.root", "DATA_ROOT"]),
        (["--data.init_args.root", "/nowhere"], ["/nowhere does not exist", "--data.init_args.root"]),
        (["--model.init_args.losses", "{census: 1.0}"], ["unknown term 'census'", "census_occlusion"]),
        (["--ckpt_path", "none.ckpt"], ["--ckpt_path: none.ckpt does not exist"]),
        (["--ckpt_path", "README.md"], ["--ckpt_path: README.md is not a checkpoint"]),
        (["--model.init_args.width", "0"], ["width must be positive and finite, got 0"]),
        (["--model.init_args.learning_rate", "-1"], ["learning_rate must be 0 or more"]),
        (["--trainer.logger.init_args.save_dir", "README.md"], ["README.md", "save_dir"]),
        (["--trainer.accelerator", "gpu"], ["configs/trainer/cpu.yaml"]),
        (["--model.init_args.init_from", "none.ckpt"], ["none.ckpt does not exist"]),
    ],
)
def test_missing_folders_and_wrong_values(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], named: list[str]
) -> None:
    code, error = run(capsys, *arguments(*options, tmp_path=tmp_path))
    assert code == 2
    for text in named:
        assert text in error


def test_an_empty_split_and_a_wrong_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rendered: Path
) -> None:
    split = tmp_path / "split.txt"
    split.write_text("# nothing yet\n")
    options = ["--data.init_args.root", str(rendered), "--data.init_args.flow.train_split", str(split)]
    options += ["--data.init_args.flow.val_split", str(rendered / "val.txt")]
    code, error = run(capsys, *arguments(*options, tmp_path=tmp_path))
    assert code == 2
    assert str(split) in error
    split.write_text("000000_00\n000001_00 camera=middle\n")
    code, error = run(capsys, *arguments(*options, tmp_path=tmp_path))
    assert code == 2
    assert f"{split}:2" in error or ("line 2" in error and str(split) in error)


def test_a_broken_picture_in_a_worker_process_is_named(tmp_path: Path, rendered: Path) -> None:
    """Through the installed command."""
    root = tmp_path / "data"
    pictures = root / "training" / "image_2"
    pictures.mkdir(parents=True)
    for frame in range(3):
        source = rendered / "training" / "image_2" / f"000000_{frame:02d}.png"
        (pictures / source.name).write_bytes(source.read_bytes())
    broken = pictures / "000000_01.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    frames = ("configs/ddflow/photometric.yaml", "configs/data/frames.yaml", "configs/trainer/cpu.yaml")
    command = [
        Path(sys.executable).with_name("lightning"), "fit",
        *(part for config in frames for part in ("--config", config)),
        "--model.init_args.width", "0.25", "--trainer.max_steps", "1", "--data.init_args.root", root,
        "--data.init_args.batch_size", "1", "--data.init_args.num_workers", "1",
        "--trainer.logger.init_args.save_dir", tmp_path, "--trainer.enable_progress_bar", "false",
    ]  # fmt: skip
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert str(broken) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_evaluation_needs_trained_weights(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    """Otherwise random weights would also give a table."""
    options = arguments(tmp_path=tmp_path)[1:]
    code, error = run(capsys, command, *options)
    assert code == 2
    assert "--ckpt_path FILE.ckpt" in error


def test_a_crop_below_the_networks_least_size(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rendered: Path
) -> None:
    options = ["--data.init_args.root", str(rendered), "--data.init_args.flow.crop", "[32, 32]"]
    for split in ("train", "val"):
        options += [f"--data.init_args.flow.{split}_split", str(rendered / f"{split}.txt")]
    options += ["--data.init_args.num_workers", "0", "--trainer.limit_val_batches", "0"]
    code, error = run(capsys, *arguments(*options, tmp_path=tmp_path))
    assert code == 2
    assert "at least 64x64, got 32x32" in error
    assert "flow.crop" in error
