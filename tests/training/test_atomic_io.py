"""A checkpoint is there whole or not at all."""

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
    assert seen == [before]  # until the very end the target was not touched
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
