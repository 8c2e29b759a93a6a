"""The commit is that of the repository that tracks the code; without one the card has a reason."""

import subprocess
from pathlib import Path

import pytest

from flowdistill.tracking.environment import code_state


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that tracks package/__init__.py."""
    folder = tmp_path / "repository"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_the_repository_of_the_source_comes_first(repository: Path, tmp_path: Path) -> None:
    package, commit = repository / "package", git(repository, "rev-parse", "HEAD")
    state = code_state(package, working=tmp_path)
    assert state == {"commit": commit, "dirty": False, "folder": str(repository), "reason": None}
    (repository / "output.txt").write_text("a run's output changes no code")
    assert code_state(package, tmp_path)["dirty"] is False
    (package / "__init__.py").write_text("changed = True")
    assert code_state(package, tmp_path)["dirty"] is True


def test_a_package_that_is_installed_inside_a_repository_is_not_its_code(
    repository: Path, tmp_path: Path
) -> None:
    installed = repository / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert code_state(installed, working=elsewhere)["commit"] is None
    # When started in a repository, that one is used.
    assert code_state(installed, working=repository)["commit"] == git(repository, "rev-parse", "HEAD")


def test_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = code_state(tmp_path, tmp_path)
    assert (none["commit"], none["dirty"], none["folder"]) == (None, None, None)
    assert none["reason"] == f"neither flowdistill's source nor {tmp_path} lies in a git repository"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    empty = code_state(tmp_path, tmp_path)
    assert empty["commit"] is None
    assert "HEAD" in str(empty["reason"])  # no commit yet
    monkeypatch.setenv("PATH", "")
    assert "git cannot be run" in str(code_state(tmp_path, tmp_path)["reason"])
