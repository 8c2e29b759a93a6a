"""A reproduction with stubbed commands."""

from pathlib import Path

import pytest
from stand_in import Commands

from flowdistill.recipes import commands
from flowdistill.recipes.reproduce import others
from flowdistill.recipes.reproduce.needs import probes
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import ORDER


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Commands:
    stand_in = Commands()
    monkeypatch.setattr(commands, "run", stand_in)
    monkeypatch.setattr(others, "run", stand_in)
    return stand_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data root with the required files (empty)."""
    made = Settings(tmp_path / "data", tmp_path / "runs", accelerator="cpu")
    for stage in ORDER:
        dataset, names = probes(stage)
        for name in names:
            path = (made.things if dataset == "things" else made.kitti) / name
            if "." in name:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            else:
                path.mkdir(parents=True, exist_ok=True)
    return made
