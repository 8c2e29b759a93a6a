"""Commands of recipes: finished ones are skipped, interrupted ones resume, changed ones are repeated."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flowdistill.errors import UserError
from flowdistill.processes import ENDS_WITH_PARENT
from flowdistill.recipes import commands


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that would have run; each fit writes a checkpoint as Lightning does."""
    calls: list[list[str]] = []

    def run(module: str, arguments: Sequence[str]) -> None:
        calls.append(list(arguments))
        if arguments[0] == "fit":
            values = dict(itertools.pairwise(arguments))
            folder = Path(
                values["--trainer.logger.init_args.save_dir"], values["--trainer.logger.init_args.name"]
            )
            version = len(list(folder.glob("version_*")))
            checkpoint = folder / f"version_{version}" / "checkpoints" / "last.ckpt"
            checkpoint.parent.mkdir(parents=True)
            checkpoint.write_text("weights")

    monkeypatch.setattr(commands, "run", run)
    return calls


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "model.yaml"
    path.write_text("model: {}\n")
    return str(path)


def test_a_fit_that_is_done_is_not_repeated(called: list[list[str]], config: str, tmp_path: Path) -> None:
    folder, data = tmp_path / "run", tmp_path / "data"
    first = commands.fit(folder, config, data, 0, ["--a", "1"])
    assert commands.fit(folder, config, data, 0, ["--a", "1"]) == first
    assert len(called) == 1
    assert first.read_text() == "weights"


@pytest.mark.parametrize("change", ["options", "seed", "config"])
def test_a_fit_with_other_settings_is_made_anew(
    called: list[list[str]], config: str, tmp_path: Path, change: str
) -> None:
    folder, data = tmp_path / "run", tmp_path / "data"
    commands.fit(folder, config, data, 0)
    if change == "config":
        Path(config).write_text("model: {width: 1}\n")
    options = ["--a", "1"] if change == "options" else []
    commands.fit(folder, config, data, 1 if change == "seed" else 0, options)
    assert len(called) == 2
    assert "--ckpt_path" not in called[1]
    assert [path.name for path in folder.glob("version_*")] == ["version_0"]


def test_a_fit_that_was_broken_off_goes_on(called: list[list[str]], config: str, tmp_path: Path) -> None:
    folder, data = tmp_path / "run", tmp_path / "data"
    last = commands.fit(folder, config, data, 0)
    (folder / "done.json").unlink()
    commands.fit(folder, config, data, 0)
    assert called[1][-2:] == ["--ckpt_path", str(last)]
    assert json.loads((folder / "done.json").read_text())["checkpoint"] != str(last)


def test_a_training_with_other_settings_is_refused_and_kept(
    called: list[list[str]], config: str, tmp_path: Path
) -> None:
    folder, weights = tmp_path / "run", tmp_path / "before.ckpt"
    weights.write_text("a")
    arguments = ["--config", config, "--model.init_args.init_from", str(weights)]
    last = commands.train(folder, arguments, files=[weights])
    for words, change in {
        "arguments were": lambda: arguments.append("--more"),
        "before.ckpt has changed": lambda: weights.write_text("b"),
        "model.yaml has changed": lambda: Path(config).write_text("model: 1"),
    }.items():
        change()
        with pytest.raises(UserError, match=words):
            commands.train(folder, arguments, files=[weights])
    assert last.read_text() == "weights"
    assert len(called) == 1


def test_a_folder_of_something_else_is_not_touched(
    called: list[list[str]], config: str, tmp_path: Path
) -> None:
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


def test_rendering_is_made_anew_with_other_options(called: list[list[str]], tmp_path: Path) -> None:
    data = tmp_path / "out" / "data"
    data.mkdir(parents=True)
    (data / "half.png").touch()
    commands.render(data, "--scenes 2 --seed 0")
    assert not data.exists()  # the incomplete rendering was removed
    commands.render(data, "--scenes 2 --seed 0")
    assert len(called) == 1
    commands.render(data, "--scenes 2 --seed 1")
    assert called[1][:4] == ["data", "render", "--output", str(data)]


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
