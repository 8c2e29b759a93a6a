"""A reproduction with stubbed commands."""

from pathlib import Path

import pytest
from stand_in import Commands

from flowdistill.recipes import commands
from flowdistill.recipes.reproduce.needs import probes
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import ORDER


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Commands:
    stand_in = Commands()
    monkeypatch.setattr(commands, "run", stand_in)
    return stand_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data root with the required files (empty)."""
    made = Settings(tmp_path / "data", tmp_path / "runs", accelerator="cpu")
    for stage in {*ORDER["kitti"], *ORDER["sintel"]}:
        data, names = probes(stage)
        for name in names:
            path = made.root(data) / name
            if "." in name:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            else:
                path.mkdir(parents=True, exist_ok=True)
    return made
