"""Advice on missing and damaged files: download only what an archive contains, and never into a user's own data."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from check_faults import data_module

from flowdistill.check.collect import collect
from flowdistill.check.downloads import DOWNLOADS, archive_of, is_own
from flowdistill.check.examine import Examiner
from flowdistill.check.plan import plan_check
from flowdistill.check.report import table
from flowdistill.check.sources import own_trees
from flowdistill.data import View
from flowdistill.formats import write_image
from flowdistill.render.writer import Request, write_dataset


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "tree"
    write_dataset(folder, "kitti2015", Request(seed=0, scenes=2, frames=3, size=(48, 64)))
    return folder


@pytest.fixture
def tree(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tree"))


def advice(root: Path, split: str = "scan", layout: str = "kitti2015") -> str:
    module = data_module(layout, root, flow=View(train_split=split), scene_flow=None)
    plan = plan_check(module)
    reports = [Examiner(False)(job) for job in plan.jobs]
    said = table(collect(plan, reports), 1, plan.files, False, own_trees(plan, reports))
    return "\n".join(line for line in said.splitlines() if line.startswith("  -> "))


def only_pictures(root: Path) -> None:
    for folder in (root / "training").iterdir():
        if folder.name != "image_2":
            shutil.rmtree(folder)


def test_damaged_frames_of_ones_own_are_replaced_not_downloaded(tree: Path) -> None:
    only_pictures(tree)
    (tree / "training/image_2/000000_01.png").write_bytes(b"\x89PNG, but no picture")
    said = advice(tree)
    assert (
        "1 file such as training/image_2/000000_01.png: not part of any download. Replace or re-encode them"
        in said
    )
    assert "exclude the samples (--exclude-to FILE, then --data.init_args.exclude FILE)" in said
    assert "Get" not in said


def test_missing_frames_of_ones_own_are_not_downloaded(tree: Path, tmp_path: Path) -> None:
    only_pictures(tree)
    (tree / "training/image_2/000001_01.png").unlink()
    split = tmp_path / "split.txt"
    split.write_text("000000_00\n000001_00\n")
    said = advice(tree, str(split))
    assert "1 file such as training/image_2/000001_01.png: not part of any download. Add them" in said
    assert "Get" not in said


def test_damaged_labels_beside_pictures_of_another_size(tree: Path) -> None:
    """They may be KITTI's, resized, or the user's own: the download is only an option, and comes last."""
    first = tree / "training/flow_occ/000000_00.png"
    first.write_bytes(b"")
    assert "Get" not in advice(tree)  # KITTI has no truth for frame 0
    first.rename(first.with_name("000000_10.png"))
    for time in (0, 1):
        shutil.copy(
            tree / f"training/image_2/000000_0{time}.png", tree / f"training/image_2/000000_1{time}.png"
        )
    said = advice(tree)
    assert "Replace or re-encode them, or exclude the samples" in said
    assert "If this is kitti2015 itself, with other image sizes: Get again data_scene_flow.zip" in said


def test_kittis_own_pictures_are_downloaded(tree: Path) -> None:
    """Recognised by their size; the image has a name that exists in KITTI."""
    only_pictures(tree)
    picture = tree / "training/image_2/000000_00.png"
    for number in (10, 11, 12, 40, 41):
        write_image(picture.with_name(f"000000_{number}.png"), np.zeros((375, 1242, 3), np.uint8))
    for path in (tree / "training/image_2").glob("*_0?.png"):
        path.unlink()
    for number in (11, 41):
        picture.with_name(f"000000_{number}.png").write_bytes(b"damaged")
    said = advice(tree)
    assert "1 file: Get again data_scene_flow.zip from https://www.cvlibs.net" in said
    assert "1 file such as training/image_2/000000_41.png: not part of any download. Replace" in said


def test_proxy_labels_are_made_again(tree: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.txt"
    split.write_text("000000_00 labels=proxy\n")
    for text in (advice(tree, str(split)),):
        assert (
            "4 files such as proxy/left/flow/000000_00.png: create them again with `flowdistill labels make`"
            in text
        )
        assert "Get" not in text


@pytest.mark.parametrize(
    ("dataset", "path", "archive"),
    [
        ("kitti2015", "training/image_2/000199_10.png", "data_scene_flow.zip"),
        ("kitti2015", "testing/image_3/000000_20.png", "data_scene_flow_multiview.zip"),
        ("kitti2015", "training/image_2/000000_21.png", None),
        ("kitti2015", "training/image_2/000200_10.png", None),
        ("kitti2015", "training/flow_occ/000012_10.png", "data_scene_flow.zip"),
        ("kitti2015", "training/flow_occ/000012_11.png", None),
        ("kitti2012", "training/image_0/000193_03.png", "data_stereo_flow_multiview.zip"),
        ("kitti2012", "training/disp_noc/000193_10.png", "data_stereo_flow.zip"),
        ("sintel", "training/clean/alley_1/frame_0001.png", "MPI-Sintel-complete.zip"),
        ("sintel", "training/proxy/alley_1/frame_0001.png", None),
        ("somebodys", "training/image_2/000000_10.png", None),
    ],
)
def test_archives_hold_what_they_hold(dataset: str, path: str, archive: str | None) -> None:
    assert archive_of(dataset, path) == archive


def test_whose_a_tree_is() -> None:
    assert not is_own("kitti2015", set())  # unknown: all images may be missing
    assert is_own("somebodys", set())
    for dataset, download in DOWNLOADS.items():
        assert not is_own(dataset, {min(download.sizes), (720, 1280)})
        assert is_own(dataset, {(720, 1280)})
