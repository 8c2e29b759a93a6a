"""Commands of recipes: finished ones are skipped, interrupted ones resume, changed ones are repeated."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from here import run_here

from flowdistill.errors import UserError
from flowdistill.processes import ENDS_WITH_PARENT
from flowdistill.recipes import commands

CONFIG = """\
model:
  class_path: flowdistill.training.DDFlowModule
  init_args: {losses: {abs_robust_mean_no_occlusion: 1.0}, width: 0.125}
trainer: {max_steps: 2, enable_progress_bar: false, enable_model_summary: false, limit_val_batches: 0}
"""
#: On the few scenes of the tests, in this process.
FEW = [
    "--data.init_args.flow.train_split", "scan", "--data.init_args.flow.val_split", "scan",
    "--data.init_args.num_workers", "0", "--data.init_args.batch_size", "1",
]  # fmt: skip


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that ran, in this process."""
    calls: list[str] = []
    monkeypatch.setattr(commands, "run", run_here(calls))
    return calls


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "model.yaml"
    path.write_text(CONFIG)
    return str(path)


def step(checkpoint: Path) -> int:
    found: int = torch.load(checkpoint, weights_only=True)["global_step"]
    return found


def test_a_fit_that_is_done_is_not_repeated(
    called: list[str], config: str, rendered: Path, tmp_path: Path
) -> None:
    first = commands.fit(tmp_path / "run", config, rendered, 0, FEW)
    assert commands.fit(tmp_path / "run", config, rendered, 0, FEW) == first
    assert called == ["fit"]
    assert step(first) == 2
    assert first == commands.last_checkpoint(tmp_path / "run") == commands.finished(tmp_path / "run")


@pytest.mark.parametrize("change", ["options", "seed", "config"])
def test_a_fit_with_other_settings_is_made_anew(
    called: list[str], config: str, rendered: Path, tmp_path: Path, change: str
) -> None:
    folder = tmp_path / "run"
    commands.fit(folder, config, rendered, 0, FEW)
    if change == "config":
        Path(config).write_text(CONFIG.replace("max_steps: 2", "max_steps: 1"))
    options = [*FEW, "--trainer.max_steps", "1"] if change == "options" else FEW
    last = commands.fit(folder, config, rendered, 1 if change == "seed" else 0, options)
    assert called == ["fit", "fit"]
    assert [path.name for path in folder.glob("version_*")] == ["version_0"]
    assert step(last) == (2 if change == "seed" else 1)


def test_a_fit_that_was_broken_off_goes_on(
    called: list[str], config: str, rendered: Path, tmp_path: Path
) -> None:
    """Ended after its first step; the second start takes the other one from the checkpoint."""
    folder = tmp_path / "run"
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "run", run_here(calls, ["--trainer.max_steps", "1"]))
        assert step(commands.fit(folder, config, rendered, 0, FEW)) == 1
    (folder / "done.json").unlink()
    last = commands.fit(folder, config, rendered, 0, FEW)
    assert step(last) == 2
    assert called == ["fit"]


def test_a_training_with_other_settings_is_refused_and_kept(
    called: list[str], config: str, rendered: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    weights = tmp_path / "before.ckpt"
    shutil.copy(commands.fit(tmp_path / "before", config, rendered, 0, FEW), weights)
    more = [*FEW, "--model.init_args.init_from", str(weights)]
    arguments = [
        *commands.config_arguments([config, commands.DATA_CONFIG, commands.TRAINER_CONFIG]),
        "--data.init_args.root", str(rendered), *more,
    ]  # fmt: skip
    last = commands.train(folder, arguments, files=[weights])
    before = last.read_bytes()
    for words, change in {
        "arguments were": lambda: arguments.extend(["--trainer.max_steps", "3"]),
        "before.ckpt has changed": lambda: weights.write_text("b"),
        "model.yaml has changed": lambda: Path(config).write_text("model: 1"),
    }.items():
        change()
        with pytest.raises(UserError, match=words):
            commands.train(folder, arguments, files=[weights])
    assert last.read_bytes() == before
    assert called == ["fit", "fit"]


def test_a_folder_of_something_else_is_not_touched(called: list[str], config: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("words")
    with pytest.raises(UserError, match="move it away"):
        commands.train(tmp_path / "run", ["--config", config])
    assert (tmp_path / "run" / "thesis.tex").is_file()
    assert not called


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent (processes.py)")
def test_a_command_ends_with_its_recipe(tmp_path: Path) -> None:
    """A killed recipe leaves no process that keeps writing."""
    script = (
        "import sys, subprocess, os\n"
        "child = subprocess.Popen([sys.executable, '-m', 'flowdistill.processes', str(os.getpid()), 'this_sleeps'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    (tmp_path / "this_sleeps.py").write_text(
        "import pathlib, time\npathlib.Path('up').touch()\ntime.sleep(60)\n"
    )
    recipe = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert recipe.stdout is not None
    child = int(recipe.stdout.readline())
    wait_until((tmp_path / "up").exists)
    recipe.kill()
    recipe.wait()
    wait_until(lambda: not running(child))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent (processes.py)")
def test_ranks_that_lightning_starts_end_with_it(tmp_path: Path) -> None:
    """Lightning starts the other ranks itself, as `python -m flowdistill.cli.lightning`: they must end with rank 0."""
    rank = (
        "import pathlib, time; import flowdistill.cli.lightning as cli\n"
        "cli._run = lambda arguments: (pathlib.Path('up').touch(), time.sleep(60))\n"
        "cli.main([])\n"
    )
    script = (
        "import sys, subprocess\n"
        f"child = subprocess.Popen([sys.executable, '-c', {rank!r}])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    environment = {**os.environ, ENDS_WITH_PARENT: "1"}
    recipe = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    assert recipe.stdout is not None
    child = int(recipe.stdout.readline())
    wait_until((tmp_path / "up").exists)
    recipe.kill()
    recipe.wait()
    wait_until(lambda: not running(child))


def running(process: int) -> bool:
    """Whether a process is alive (a zombie is not)."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_rendering_is_made_anew_with_other_options(called: list[str], tmp_path: Path) -> None:
    data = tmp_path / "out" / "data"
    data.mkdir(parents=True)
    (data / "half.png").touch()  # of a rendering that was interrupted
    options = "--frames 2 --size 64x64 --layout kitti2015 --seed 0"
    commands.render(data, f"--scenes 1 {options}")
    images = data / "training" / "image_2"
    assert not (data / "half.png").exists()
    assert len(list(images.glob("*.png"))) == 2
    commands.render(data, f"--scenes 1 {options}")
    assert called == ["data render"]
    commands.render(data, f"--scenes 2 {options}")
    assert called == ["data render", "data render"]
    assert len(list(images.glob("*.png"))) == 4


def test_a_failed_command_is_named() -> None:
    with pytest.raises(UserError, match="`lightning nonsense` ended with code 2"):
        commands.run("flowdistill.cli.lightning", ["nonsense"])


def test_a_recipe_runs_from_any_folder_and_names_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    commands.check_folder("demo", ["configs/demo/ddflow.yaml"])
    with pytest.raises(
        UserError, match=r"the demo needs configs/demo/nothing\.yaml, which is neither here nor part"
    ):
        commands.check_folder("demo", ["configs/demo/nothing.yaml"])
