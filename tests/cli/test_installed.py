"""The wheel: it contains configs and splits, which are found from an empty folder, and it trains."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from flowdistill.cli.flowdistill import main
from flowdistill.data.shipped import find, in_words, listing, shipped_root
from flowdistill.data.splits import read_split

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(REPOSITORY),
    ]
    subprocess.run([*command, "--disable-pip-version-check"], check=True, capture_output=True)
    (built,) = folder.glob("flowdistill-*.whl")
    return built


def fit_words(rendered: Path) -> list[str]:
    return [
        "fit", "--config", "configs/demo/ddflow.yaml", "--config", "configs/data/rendered.yaml",
        "--config=configs/trainer/cpu.yaml", "--data.init_args.root", str(rendered),
        "--data.init_args.num_workers", "0", "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
        f"--data.init_args.flow.train_split={rendered}/train.txt",
        f"--data.init_args.flow.val_split={rendered}/val.txt",
        "--trainer.max_steps", "5", "--trainer.val_check_interval", "5", "--trainer.enable_progress_bar", "false",
    ]  # fmt: skip


def run(
    python: str, words: list[str], folder: Path, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}
    return subprocess.run(
        [python, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_wheel_holds_every_config_and_split(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name
            for name in archive.namelist()
            if name.startswith(("flowdistill/configs/", "flowdistill/data_splits/"))
        }
    tracked = subprocess.run(
        ["git", "ls-files", "configs", "data_splits"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert packed == {f"flowdistill/{name}" for name in tracked}
    assert len(packed) > 80


def test_it_trains_from_an_empty_folder(wheel: Path, rendered: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    done = run(sys.executable, ["-m", "flowdistill.cli.lightning", *fit_words(rendered)], empty, installed)
    assert done.returncode == 0, done.stderr
    for config in ("demo/ddflow", "data/rendered", "trainer/cpu"):
        assert (
            f"configs/{config}.yaml: taken from {installed}/flowdistill/configs/{config}.yaml" in done.stderr
        )
    assert (empty / "runs" / "version_0" / "checkpoints" / "last.ckpt").is_file()
    # Splits are also found, and local files take precedence.
    code = (
        "from pathlib import Path; from flowdistill.data.splits import read_split as read\n"
        "name = 'data_splits/kitti_40.txt'; print(len(read(name)))\n"
        "Path('data_splits').mkdir(); Path(name).write_text('000000_10'); print(len(read(name)))"
    )
    assert run(sys.executable, ["-c", code], empty, installed).stdout == "40\n1\n"


@pytest.mark.slow
def test_an_empty_environment_installs_it_and_trains(wheel: Path, rendered: Path, tmp_path: Path) -> None:
    empty, environment = tmp_path / "empty", tmp_path / "environment"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    install = ["-m", "pip", "install", "--quiet", "-c", str(REPOSITORY / "constraints.txt"), str(wheel)]
    subprocess.run([python, *install], check=True, capture_output=True)
    done = run(str(environment / "bin" / "lightning"), fit_words(rendered), empty)
    assert done.returncode == 0, done.stderr
    assert (empty / "runs" / "version_0" / "checkpoints" / "last.ckpt").is_file()
    listed = run(str(environment / "bin" / "flowdistill"), ["configs", "list"], empty)
    assert f"below {environment}" in listed.stdout
    assert "configs/sweeps/ddflow_loss_schedule.yaml" in listed.stdout
    words = ["schedule", "plot", "configs/experiment/ddflow_kitti_single_run.yaml"]
    assert run(str(environment / "bin" / "flowdistill"), words, empty).returncode == 0
    # Missing extras are reported in one line.
    words = ["sweep", "run", "configs/sweeps/demo_ddflow.yaml", "--count", "1"]
    refused = run(str(environment / "bin" / "flowdistill"), words, empty)
    assert refused.returncode == 2
    assert "pip install 'flowdistill[sweep]'" in refused.stderr
    board = [*fit_words(rendered), "--config", "configs/logger/tensorboard.yaml"]
    refused = run(str(environment / "bin" / "lightning"), board, empty)
    assert refused.returncode == 2
    assert "tensorboard" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_paths_are_looked_for_here_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = REPOSITORY / "configs" / "data" / "kitti.yaml"
    assert find("configs/data/kitti.yaml") == own
    assert find("configs/data/nothing.yaml") == Path("configs/data/nothing.yaml")
    assert find("other/data/kitti.yaml") == Path("other/data/kitti.yaml")
    assert find(tmp_path / "configs/data/kitti.yaml") == tmp_path / "configs/data/kitti.yaml"
    assert find("configs") == Path("configs")  # a folder is not a config
    words = [
        "fit",
        "--config",
        "configs/data/kitti.yaml",
        "--config=configs/data/kitti.yaml",
        "--root",
        "configs/data/kitti.yaml",
    ]
    assert in_words(words) == [
        "fit",
        "--config",
        str(own),
        f"--config={own}",
        "--root",
        "configs/data/kitti.yaml",
    ]
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "data" / "kitti.yaml").write_text("mine")
    assert find("configs/data/kitti.yaml") == Path("configs/data/kitti.yaml")
    assert len(read_split("data_splits/kitti_40.txt")) == 40
    assert shipped_root() == REPOSITORY


def test_configs_are_listed_shown_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # which cuts lines
    assert main(["configs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(list(listing()))
    assert any(
        line.startswith("configs/trainer/cpu.yaml") and "A machine without a GPU" in line for line in lines
    )
    assert main(["configs", "show", "configs/trainer/cpu.yaml"]) == 0
    assert capsys.readouterr().out == (REPOSITORY / "configs/trainer/cpu.yaml").read_text()
    assert main(["configs", "copy", "configs/sweeps"]) == 0
    copied = sorted(path.name for path in (tmp_path / "configs" / "sweeps").iterdir())
    assert copied == sorted(path.name for path in (REPOSITORY / "configs" / "sweeps").iterdir())
    capsys.readouterr()
    assert main(["configs", "copy", "configs/sweeps/demo_ddflow.yaml"]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err
    for words in (["list", "nothing"], ["show", "configs/nothing.yaml"], ["copy", "../secrets"]):
        assert main(["configs", *words]) == 2
        assert "flowdistill has no config" in capsys.readouterr().err
