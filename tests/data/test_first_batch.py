"""`lightning fit` warns about unusually encoded labels before training on them, and only then."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from flowdistill.data import MotionDataModule, View
from flowdistill.data.datasets import open_dataset
from flowdistill.data.first_batch import first_batch, odd_labels, warn_of_odd_labels
from flowdistill.data.mixture import Mixture, Part
from flowdistill.render.writer import Request, write_dataset
from small_trainer import small_ddflow, trainer

FLOW, DISPARITY = ("flow_occ", "flow_noc"), ("disp_occ_0", "disp_noc_0", "disp_occ_1", "disp_noc_1")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "data"
    write_dataset(folder, "kitti2015", Request(seed=2, scenes=2, frames=2, size=(64, 128)))
    return folder


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"


def rewrite(root: Path, folders: tuple[str, ...], change: object) -> None:
    for folder in folders:
        for path in (root / "training" / folder).glob("*.png"):
            codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(path), np.ascontiguousarray(change(codes)))  # type: ignore[operator]


def said(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    dataset = open_dataset("kitti2015", str(root), "scan", "scene_flow", True)
    warn_of_odd_labels(dataset, first_batch(len(dataset), 0, 4))
    return capsys.readouterr().err


def test_right_labels_need_no_word(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(root, capsys) == ""


def test_each_mistake_is_one_line_that_names_a_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(root, FLOW, lambda codes: codes[..., ::-1])
    rewrite(
        root, DISPARITY, lambda codes: np.where(codes > 0, np.maximum(codes // 256, 1), 0).astype(np.uint16)
    )
    lines = said(root, capsys).splitlines()
    assert len(lines) == 2
    flow, disparity = sorted(lines, key=lambda line: "disparity" in line)
    assert f"warning: {root}/training/flow_occ/" in flow
    assert "channels in the reverse order" in flow
    assert "no disparity of 3 px or more" in disparity
    assert "7 more" in disparity


def test_one_far_scene_among_others_is_not_a_small_disparity(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in DISPARITY:
        path = root / "training" / folder / "000000_00.png"
        cv2.imwrite(str(path), np.full((64, 128), 300, np.uint16))
    assert said(root, capsys) == ""


def test_a_mixture_looks_into_every_source(root: Path, original: Path) -> None:
    rewrite(root, FLOW, lambda codes: codes[..., ::-1])
    parts = [
        Part(open_dataset("kitti2015", str(folder), "scan", "scene_flow", True), 1, "here")
        for folder in (original, root)
    ]
    mixture = Mixture(parts)
    files = [file for index in range(len(mixture)) for file in mixture.files(index)]
    assert [file.path for file in files] == [
        file.path for part in parts for index in range(2) for file in part.dataset.files(index)
    ]
    (where,) = odd_labels(files).values()
    assert str(root) in where
    assert str(original) not in where


def test_fit_of_ddflow_says_it_of_what_it_validates_on(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DDFlow trains on images only, but its errors are measured against the labels."""
    rewrite(root, FLOW, lambda codes: codes[..., ::-1])
    data = MotionDataModule(
        "kitti2015", str(root), flow=View(train_split="scan", val_split="scan"), batch_size=2, num_workers=0
    )
    trainer(tmp_path, 1).fit(small_ddflow(), data)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(said) == 1
    assert "flow_occ/" in said[0]
    assert "channels in the reverse order" in said[0]
