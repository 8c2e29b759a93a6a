"""Checkpoints are written atomically."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flowdistill.training import AtomicCheckpointIO


def test_a_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    for step in (1, 2):
        AtomicCheckpointIO().save_checkpoint({"global_step": step}, path)
        assert torch.load(path)["global_step"] == step
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_write_that_breaks_off_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"global_step": 1}, path)
    before = path.read_bytes()
    seen: list[bytes] = []

    def no_space(source: Path, target: Path) -> None:
        seen.append(path.read_bytes())
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", no_space)
    with pytest.raises(OSError, match="no space left"):
        AtomicCheckpointIO().save_checkpoint({"global_step": 2}, path)
    assert seen == [before]  # the target is untouched until the end
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_disk_that_takes_no_more_is_noted_and_leaves_the_one_before(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the write itself fails, halfway."""
    code = f"""
import resource, signal, torch
from pathlib import Path
from flowdistill.training import AtomicCheckpointIO
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, io = Path({str(tmp_path)!r}, "last.ckpt"), AtomicCheckpointIO()
io.save_checkpoint({{"global_step": 1}}, path)
assert io.failure is None
before = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
io.save_checkpoint({{"global_step": 2, "w": torch.zeros(100_000)}}, path)
assert io.failure == f"{{path}}: File too large", io.failure
assert path.read_bytes() == before
assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
io.save_checkpoint({{"global_step": 3}}, path)
assert io.failure is None
assert torch.load(path)["global_step"] == 3
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_no_fault_of_the_disk_is_raised(tmp_path: Path) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)):
        AtomicCheckpointIO().save_checkpoint({"x": lambda: None}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


def test_nothing_goes_through_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    path = tmp_path / "runs" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"global_step": 1, "w": torch.zeros(10**6)}, path)
    assert torch.load(path)["global_step"] == 1
