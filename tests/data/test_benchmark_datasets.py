"""One world, rendered once, written in every benchmark's layout, read back by every dataset: the exact ground truth.

Tolerances are the quantisation of the files: 1/64 px for KITTI's flow, 1/256 px for its disparities, none for floats
except the rounding of `disparity + change`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from flowdistill.data.assembly import keys_of
from flowdistill.data.dataset import MotionDataset, ViewName
from flowdistill.data.datasets import DATASETS, open_dataset
from flowdistill.data.files import Content
from flowdistill.data.sample import Sample, collate
from flowdistill.render import render_scene
from flowdistill.render.sequence import RenderedFrame
from flowdistill.render.writer import Request, write_dataset

SEED, SCENES, FRAMES, SIZE = (
    4,
    2,
    3,
    (64, 128),
)  # of two scenes the second is held out, where a layout says so
# Layout -> ids of the first scene's pairs, ids of the second scene's.
IDS = {
    "kitti2015": (["000000_00", "000000_01"], ["000001_00", "000001_01"]),
    "kitti2012": (["000000_00", "000000_01"], ["000001_00", "000001_01"]),
    "things": (["TRAIN/A/0000/0006", "TRAIN/A/0000/0007"], ["TEST/A/0000/0006", "TEST/A/0000/0007"]),
    "things_subset": (["train/0000000", "train/0000001"], ["val/0000000", "val/0000001"]),
    "chairs": (["00001", "00002"], ["00003", "00004"]),
    "sintel": (
        ["clean/scene_0000/frame_0001", "clean/scene_0000/frame_0002"],
        ["clean/scene_0001/frame_0001", "clean/scene_0001/frame_0002"],
    ),
}
FLOW_STEP, DISPARITY_STEP = (
    {"kitti2015": 1 / 64, "kitti2012": 1 / 64},
    {"kitti2015": 1 / 256, "kitti2012": 1 / 256},
)
IMAGES = {"flow": {"left_t0", "left_t1"}, "scene_flow": {"left_t0", "left_t1", "right_t0", "right_t1"}}
CAMERA = {"intrinsics", "baseline"}
DISPARITY_T0 = {"disparity_t0", "valid_disparity_t0"}
FLOW = {"flow", "valid_flow"}
# The keys of each layout besides images.
KEYS: dict[tuple[str, str], set[str]] = {
    ("kitti2015", "flow"): FLOW | CAMERA | {"valid_flow_noc", "foreground"},
    ("kitti2015", "scene_flow"): FLOW | DISPARITY_T0 | CAMERA | {"valid_flow_noc", "valid_disparity_t0_noc"}
    | {"foreground", "disparity_t1", "valid_disparity_t1", "valid_disparity_t1_noc"},
    ("kitti2012", "flow"): FLOW | CAMERA | {"valid_flow_noc"},
    ("kitti2012", "scene_flow"): FLOW | DISPARITY_T0 | CAMERA | {"valid_flow_noc", "valid_disparity_t0_noc"},
    ("things", "flow"): FLOW | {"flow_backward", "occluded_backward"},
    ("things", "scene_flow"): FLOW | DISPARITY_T0 | {"disparity_t1", "valid_disparity_t1"},
    ("things_subset", "flow"): FLOW | {"flow_backward", "occluded", "occluded_backward", "valid_flow_noc"},
    ("things_subset", "scene_flow"): FLOW | DISPARITY_T0 | {"disparity_t1", "valid_disparity_t1", "occluded"}
    | {"valid_flow_noc", "valid_disparity_t0_noc"},
    ("chairs", "flow"): FLOW,
    ("sintel", "flow"): FLOW | {"occluded", "valid_flow_noc"},
}  # fmt: skip
CASES = sorted(KEYS)


BENCHMARKS = [name for name in DATASETS if name != "folder"]  # a user's own frames have no ground truth


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("layouts")
    for layout in BENCHMARKS:
        unlabeled = 1 if layout in ("kitti2015", "kitti2012", "sintel") else 0
        request = Request(seed=SEED, scenes=SCENES, frames=FRAMES, size=SIZE, test_scenes=unlabeled)
        write_dataset(folder / layout, layout, request)
    return {layout: folder / layout for layout in BENCHMARKS}


@pytest.fixture(scope="module")
def truth() -> list[list[RenderedFrame]]:
    return [list(render_scene(SEED, scene, FRAMES, SIZE)) for scene in range(SCENES + 1)]


def opened(
    roots: dict[str, Path], layout: str, view: str, labels: bool = True, **options: str
) -> MotionDataset:
    return open_dataset(layout, str(roots[layout]), "scan", cast(ViewName, view), labels, options)


def by_name(dataset: MotionDataset) -> dict[str, dict[str, Any]]:
    return {
        sample["name"]: cast(dict[str, Any], sample)
        for sample in map(dataset.__getitem__, range(len(dataset)))
    }


def pairs(layout: str, truth: list[list[RenderedFrame]]) -> Iterator[tuple[str, RenderedFrame]]:
    for ids, frames in zip(IDS[layout], truth, strict=False):
        yield from zip(ids, frames, strict=True)


def hwc(value: torch.Tensor) -> np.ndarray:
    return value.numpy().transpose(1, 2, 0)


def test_every_dataset_has_a_layout_that_is_rendered() -> None:
    assert set(IDS) == set(BENCHMARKS) == {layout for layout, _ in KEYS}
    for layout in BENCHMARKS:
        assert set(DATASETS[layout].views) == {view for other, view in KEYS if other == layout}


@pytest.mark.parametrize(("layout", "view"), CASES)
def test_exact_truth_comes_back(
    layout: str, view: str, roots: dict[str, Path], truth: list[list[RenderedFrame]]
) -> None:
    samples = by_name(opened(roots, layout, view))
    assert set(samples) >= {id_ for ids in IDS[layout] for id_ in ids}
    flow_step, disparity_step = FLOW_STEP.get(layout, 0.0), DISPARITY_STEP.get(layout, 0.0)
    for id_, frame in pairs(layout, truth):
        sample = samples[id_]
        assert set(sample) == {"name", "size"} | IMAGES[view] | KEYS[layout, view]
        for key in IMAGES[view]:
            np.testing.assert_array_equal(hwc(sample[key]) * np.float32(255), getattr(frame, key))
        np.testing.assert_allclose(hwc(sample["flow"]), frame.flow, rtol=0, atol=flow_step / 2)
        assert sample["valid_flow"].all()
        if "flow_backward" in sample:
            np.testing.assert_array_equal(hwc(sample["flow_backward"]), frame.flow_backward)
        if layout == "things" and view == "flow":
            assert not sample["occluded_backward"].any()  # the layout only marks where flow is unknown
        for key in ("disparity_t0", "disparity_t1"):
            if key in sample:
                rounding = 1e-5 if layout.startswith("things") else disparity_step / 2
                np.testing.assert_allclose(hwc(sample[key]), getattr(frame, key), rtol=0, atol=rounding)
                assert sample[f"valid_{key}"].all()
        seen = ~frame.occluded
        seen_of = {
            "flow": seen,
            "disparity_t0": ~frame.occluded_right_t0,
            "disparity_t1": seen & ~frame.occluded_right_t1,
        }
        masks = {f"valid_{key}_noc": mask for key, mask in seen_of.items()}
        masks |= {"occluded": frame.occluded, "foreground": frame.foreground > 0}
        if layout == "things_subset":
            masks["occluded_backward"] = frame.occluded_backward
        for key, mask in masks.items():
            if key in sample:
                np.testing.assert_array_equal(hwc(sample[key]), mask, err_msg=key)
                assert mask.any(), key
        if "intrinsics" in sample:
            np.testing.assert_allclose(sample["intrinsics"], frame.intrinsics, rtol=1e-6)
            assert float(sample["baseline"]) == pytest.approx(frame.baseline, rel=1e-6)
        assert sample["size"].tolist() == list(SIZE)


@pytest.mark.parametrize(("layout", "view"), CASES)
@pytest.mark.parametrize("labels", [True, False])
def test_the_list_of_files_is_complete_and_true(
    layout: str, view: str, labels: bool, roots: dict[str, Path], tmp_path: Path
) -> None:
    """A tree with only the listed files gives the same samples; `keys_of` predicts their keys; signs are as stated."""
    dataset = opened(roots, layout, view, labels)
    for index in range(len(dataset)):
        files = dataset.files(index)
        assert len({file.path for file in files}) == len(files)
        assert keys_of(files) == dataset.keys == set(dataset[index]) - {"name", "size"}
        for file in files:
            copy = tmp_path / Path(file.path).relative_to(roots[layout])
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.path, copy)
            content = file.kind.read(file.path)
            if isinstance(content, Content) and content.valid is not None:
                if file.kind.quantity == "disparity":
                    assert (content.values[content.valid] * file.kind.sign > 0).all()
                longest = float(np.linalg.norm(content.values.astype(float), axis=2).max())
                assert longest < file.kind.largest * SIZE[1]
    copied = type(dataset)(str(tmp_path), dataset.entries, cast(ViewName, view), labels)
    for index in range(len(dataset)):
        whole, alone = dataset[index], copied[index]
        assert set(whole) == set(alone)
        assert all(torch.equal(value, alone[key]) for key, value in whole.items() if key != "name")


@pytest.mark.parametrize(("layout", "view"), CASES)
def test_each_file_is_missed_by_name(layout: str, view: str, roots: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / layout
    shutil.copytree(roots[layout], root)
    dataset = open_dataset(layout, str(root), "scan", cast(ViewName, view), True)
    assert list(dataset.missing()) == []
    for file in dataset.files(0):
        Path(file.path).rename(tmp_path / "aside")
        missed = {found.path for _, found in dataset.missing()}
        assert missed == {file.path}
        with pytest.raises(Exception, match="missing") as caught:
            type(dataset)(str(root), dataset.entries, cast(ViewName, view), True)
        assert file.path in str(caught.value)
        kept = type(dataset)(str(root), dataset.entries, cast(ViewName, view), True, require_files=False)
        assert (0, file) in list(kept.missing())
        Path(tmp_path / "aside").rename(file.path)


@pytest.mark.parametrize(("layout", "view"), CASES)
def test_samples_of_a_layout_make_a_batch(layout: str, view: str, roots: dict[str, Path]) -> None:
    dataset = opened(roots, layout, view)
    samples: list[Sample] = [dataset[index] for index in range(len(dataset))]
    batch = collate(samples)
    assert batch["flow"].shape == (len(samples), 2, *SIZE)
    assert batch["flow"].dtype == torch.float32
    assert batch["left_t0"].dtype == torch.float32


@pytest.mark.parametrize("layout", ["kitti2015", "kitti2012", "things", "things_subset"])
def test_right_camera_of_the_flow_view(
    layout: str, roots: dict[str, Path], truth: list[list[RenderedFrame]]
) -> None:
    entries = opened(roots, layout, "flow", labels=False).entries
    right = [type(entry)(entry.id, "right") for entry in entries]
    dataset = DATASETS[layout](str(roots[layout]), right, "flow", labels=False)
    samples = by_name(dataset)
    for id_, frame in pairs(layout, truth):
        for key, picture in (("left_t0", frame.right_t0), ("left_t1", frame.right_t1)):
            np.testing.assert_array_equal(hwc(samples[f"{id_}_right"][key]) * np.float32(255), picture)


@pytest.mark.parametrize(
    ("layout", "options", "split"),
    [
        ("kitti2015", {"part": "testing"}, "scan"),
        ("kitti2012", {"part": "testing"}, "scan"),
        ("sintel", {"part": "test", "render_pass": "clean"}, "scan"),
    ],
)
def test_the_part_without_labels(
    layout: str, options: dict[str, str], split: str, roots: dict[str, Path], truth: list[list[RenderedFrame]]
) -> None:
    dataset = open_dataset(layout, str(roots[layout]), split, "flow", False, options)
    assert len(dataset) == FRAMES - 1
    for index, frame in enumerate(truth[SCENES]):
        np.testing.assert_array_equal(hwc(dataset[index]["left_t0"]) * np.float32(255), frame.left_t0)
    with pytest.raises(Exception, match=r"has no labels.*val_labels"):
        open_dataset(layout, str(roots[layout]), split, "flow", True, options)


@pytest.mark.parametrize("layout", ["things", "things_subset", "sintel"])
def test_final_pass_has_other_pictures_and_the_same_labels(layout: str, roots: dict[str, Path]) -> None:
    clean, final = (opened(roots, layout, "flow", render_pass=which) for which in ("clean", "final"))
    assert len(clean) == len(final) == 2 * (FRAMES - 1)
    for index in range(len(clean)):
        first, second = clean[index], final[index]
        assert torch.equal(first["flow"], second["flow"])
        difference = (first["left_t0"] - second["left_t0"]).abs().mean()
        assert 0.001 < difference < 0.1
