"""Recipes' commands: what is done is not redone, what was broken off goes on, what changed is made anew."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowdistill.errors import UserError
from flowdistill.recipes import commands


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that would have run; each fit leaves a checkpoint as Lightning does."""
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


def test_rendering_is_made_anew_with_other_options(called: list[list[str]], tmp_path: Path) -> None:
    data = tmp_path / "out" / "data"
    data.mkdir(parents=True)
    (data / "half.png").touch()
    commands.render(data, "--scenes 2 --seed 0")
    assert not data.exists()  # what a broken-off rendering left is gone
    commands.render(data, "--scenes 2 --seed 0")
    assert len(called) == 1
    commands.render(data, "--scenes 2 --seed 1")
    assert called[1][:4] == ["data", "render", "--output", str(data)]


def test_a_failed_command_is_named() -> None:
    with pytest.raises(UserError, match="`lightning nonsense` ended with code 2"):
        commands.run("flowdistill.cli.lightning", ["nonsense"])


def test_another_folder_than_the_repository_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="start the demo in the root of the flowdistill repository"):
        commands.check_folder("demo", [])
