"""A `labels make` that is refused, fails or is interrupted before its first sample does not block later runs."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowdistill.cli.flowdistill import main
from flowdistill.data.folder_walk import LABELS_CONFIG
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.labels.folder import check_folder, counts_path, labelling, write_counts
from flowdistill.render.writer import Request, write_dataset

FOLDERS = {"flow": "flow_occ", "disp_0": "disp_occ_0", "disp_1": "disp_occ_1"}
MENDED = {"confidence": {"disparity": {"photometric": {"tolerance": 8.0, "window": 5}}}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ground truth as precomputed predictions, and a config that is refused after the first sample's estimates."""
    root = tmp_path / "data"
    write_dataset(root, "kitti2015", Request(seed=0, scenes=2, frames=2, size=(32, 64)))
    for theirs, truth in FOLDERS.items():
        shutil.copytree(root / "training" / truth, root / "theirs" / theirs)
    files = {"folder": str(root / "theirs"), "flow": "flow/{id}.png"}
    files |= {"disparity_t0": "disp_0/{id}.png", "disparity_t1": "disp_1/{id}.png"}
    motions = {"backward": False, "disparity": ["theirs"], "flow": ["theirs"], "disparity_t1": "direct"}
    bad = {
        "dataset": "kitti2015",
        "view": "scene_flow",
        "teachers": {"theirs": {"files": files}},
        "motions": motions,
    }
    bad["confidence"] = {"disparity": {"spread": 1.0}}  # a check, but not the one that `direct` needs
    (root / "bad.yaml").write_text(yaml.safe_dump(bad))
    (root / "good.yaml").write_text(yaml.safe_dump(bad | MENDED))
    return root


def make(root: Path, config: str, *more: str) -> int:
    arguments = [
        "--config",
        str(root / config),
        "--root",
        str(root),
        "--split",
        "scan",
        "--output",
        "new/proxy",
    ]
    return main(["labels", "make", *arguments, *more])


def test_a_refused_config_leaves_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(data, "bad.yaml") == 2
    assert "direct needs confidence.disparity.photometric" in capsys.readouterr().err
    assert not (data / "new").exists()
    assert make(data, "good.yaml") == 0
    assert make(data, "bad.yaml") == 2  # now there are labels
    assert "confidence.disparity.photometric is None, was {" in capsys.readouterr().err


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: (root / "theirs/flow/000000_00.png").unlink(),
        lambda root: (root / "training/image_3/000000_01.png").write_bytes(b"damaged"),
        lambda root: (root / "theirs/disp_1").rename(root / "theirs/elsewhere"),
    ],
)
def test_nor_does_one_that_fails_in_its_first_sample(data: Path, spoil: Any) -> None:
    spoil(data)
    assert make(data, "good.yaml") == 2
    assert not (data / "new").exists()


@pytest.mark.parametrize("place", ["make_labels", "tally"])
def test_ctrl_c_before_the_first_sample_is_complete(
    data: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"flowdistill.labels.job.{place}", interrupt)
        assert make(data, "good.yaml") == 130
    assert not (data / "new").exists()


ENTRY = SplitEntry("000000_00")


def test_a_run_that_died_between_two_files_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "proxy"
    label = folder / "left/flow/000000_00.png"

    def die() -> None:
        with labelling(folder, {"keep": 0.5}, ENTRY):
            label.parent.mkdir(parents=True)
            label.write_bytes(b"half of a sample")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        die()
    check_folder(folder, {"keep": 0.5})  # the same settings may resume
    check_folder(folder, {"keep": 0.7})
    assert label.exists()  # the check removes nothing
    with labelling(folder, {"keep": 0.7}, ENTRY):
        write_counts(folder, ENTRY, {})
    with pytest.raises(UserError, match=r"keep is 0\.5, was 0\.7"):
        check_folder(folder, {"keep": 0.5})
    assert counts_path(folder, ENTRY).exists()


def test_of_two_runs_that_start_at_once_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "proxy"
    for settings in ({"keep": 0.5}, {"keep": 0.7}):
        check_folder(folder, settings)  # neither has a sample yet
    with labelling(folder, {"keep": 0.5}, ENTRY):
        write_counts(folder, ENTRY, {})
    second = SplitEntry("000001_00")
    with pytest.raises(UserError, match=r"keep is 0\.7, was 0\.5"), labelling(folder, {"keep": 0.7}, second):
        write_counts(folder, second, {})
    assert not counts_path(folder, second).exists()

    # Both checked before either had claimed the folder: the settings on disk count.
    def overtaken() -> None:
        with labelling(folder, {"keep": 0.5}, second):
            (folder / LABELS_CONFIG).write_text("keep: 0.9\n")
            write_counts(folder, second, {})

    with pytest.raises(UserError, match=r"keep is 0\.5, was 0\.9"):
        overtaken()
    assert not counts_path(folder, second).exists()


def test_an_output_that_cannot_be_made_is_told_before_the_work(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "new").write_text("a file")
    assert make(data, "good.yaml") == 2
    assert f"{data / 'new'} is not a folder that this user may write to" in capsys.readouterr().err
