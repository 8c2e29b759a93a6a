"""Properties of real files that rendered ones lack: unknown values, wrong signs and channels, missing names."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.datasets import dataset_class, open_dataset
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import (
    FormatError,
    read_flo,
    read_pfm,
    write_flo,
    write_image,
    write_mask,
    write_pfm,
)
from flowdistill.render.writer import Request, write_dataset

LAYOUTS = ("things", "things_subset", "sintel", "kitti2012", "chairs")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for layout in LAYOUTS:
        write_dataset(folder / layout, layout, Request(seed=1, scenes=1, frames=2, size=(32, 64)))
    return folder


@pytest.fixture
def trees(originals: Path, tmp_path: Path) -> Path:
    shutil.copytree(originals, tmp_path / "trees")
    return tmp_path / "trees"


def opened(trees: Path, layout: str, view: str = "flow", **options: str) -> MotionDataset:
    return open_dataset(layout, str(trees / layout), "scan", view, True, options)


def file_of(dataset: MotionDataset, key: str) -> Path:
    (path,) = (file.path for file in dataset.files(0) if file.key == key)
    return Path(path)


UNKNOWN = {(2, 3): np.nan, (4, 5): np.inf, (6, 7): -np.inf, (8, 9): 1e10, (10, 11): -1.7e9}


@pytest.mark.parametrize("layout", ["things", "things_subset", "sintel", "chairs"])
@pytest.mark.parametrize("channel", [0, 1])
def test_unknown_flow_is_zero_and_not_valid(trees: Path, layout: str, channel: int) -> None:
    dataset = opened(trees, layout)
    before = dataset[0]
    path = file_of(dataset, "flow")
    flow = read_pfm(path) if path.suffix == ".pfm" else read_flo(path)
    for place, value in UNKNOWN.items():
        flow[(*place, channel)] = value
    (write_pfm if path.suffix == ".pfm" else write_flo)(path, flow)
    sample = dataset[0]
    unknown = torch.zeros(32, 64, dtype=torch.bool)
    for place in UNKNOWN:
        unknown[place] = True
    assert torch.equal(sample["valid_flow"][0], ~unknown)
    assert torch.equal(sample["flow"][:, unknown], torch.zeros(2, len(UNKNOWN)))
    assert torch.equal(sample["flow"][:, ~unknown], before["flow"][:, ~unknown])
    if "occluded" in sample:
        assert torch.equal(sample["valid_flow_noc"], ~sample["occluded"] & sample["valid_flow"])


def test_the_third_channel_of_things_flow_is_unused(trees: Path) -> None:
    dataset = opened(trees, "things")
    path, before = file_of(dataset, "flow"), dataset[0]
    flow = read_pfm(path)
    flow[..., 2] = np.nan
    write_pfm(path, flow)
    assert torch.equal(dataset[0]["flow"], before["flow"])
    assert dataset[0]["valid_flow"].all()


@pytest.mark.parametrize("layout", ["things", "things_subset"])
def test_unknown_backward_flow_counts_as_occluded(trees: Path, layout: str) -> None:
    dataset = opened(trees, layout)
    path, before = file_of(dataset, "flow_backward"), dataset[0]
    flow = read_pfm(path) if layout == "things" else read_flo(path)
    flow[5, 6, 1] = np.nan
    (write_pfm if layout == "things" else write_flo)(path, flow)
    expected = before["occluded_backward"].clone()
    expected[0, 5, 6] = True
    assert torch.equal(dataset[0]["occluded_backward"], expected)
    assert dataset[0]["flow_backward"][:, 5, 6].tolist() == [0, 0]


@pytest.mark.parametrize(("layout", "sign"), [("things", 1), ("things_subset", -1)])
def test_disparity_at_t1_is_valid_where_both_files_know_it_and_it_is_positive(
    trees: Path, layout: str, sign: int
) -> None:
    dataset = opened(trees, layout, "scene_flow")
    before = dataset[0]
    disparity_file, change_file = file_of(dataset, "disparity_t0"), file_of(dataset, "disparity_t1")
    disparity, change = read_pfm(disparity_file), read_pfm(change_file)
    assert (sign * disparity > 0).all()
    disparity[1, 1] = np.nan
    change[2, 2] = np.inf
    change[3, 3] = -sign * 1000  # passed the camera
    write_pfm(disparity_file, disparity)
    write_pfm(change_file, change)
    sample = dataset[0]
    for key, unknown in (("disparity_t0", [(1, 1)]), ("disparity_t1", [(1, 1), (2, 2), (3, 3)])):
        valid = torch.ones(32, 64, dtype=torch.bool)
        for place in unknown:
            valid[place] = False
        assert torch.equal(sample[f"valid_{key}"][0], valid)
        values: torch.Tensor = sample[key]
        assert torch.equal(values[0][valid], before[key][0][valid])
        assert values[0][~valid].abs().max() == 0


@pytest.mark.parametrize(
    ("layout", "said"),
    [("things", "as positive numbers, but here 2048 of 2048 are negative"),
     ("things_subset", "as negative numbers, but here 2048 of 2048 are positive")],
)  # fmt: skip
def test_a_wrong_sign_is_an_error(trees: Path, layout: str, said: str) -> None:
    dataset = opened(trees, layout, "scene_flow")
    path = file_of(dataset, "disparity_t0")
    write_pfm(path, -read_pfm(path))
    with pytest.raises(UserError, match=said) as caught:
        dataset[0]
    assert str(path) in str(caught.value)


def test_wrong_channels_are_format_errors(trees: Path) -> None:
    for key, wrong, said in (("flow", 1, "3 channels"), ("disparity_t0", 3, "1 channel")):
        dataset = opened(trees, "things", "scene_flow")
        path = file_of(dataset, key)
        whole = read_pfm(path)
        write_pfm(path, np.zeros((32, 64, wrong), np.float32))
        with pytest.raises(FormatError, match=f"{path.name}: expected .*{said}.*, found {wrong}"):
            dataset[0]
        write_pfm(path, whole)


def test_invalid_pixels_of_sintel_leave_the_metrics(trees: Path) -> None:
    dataset = opened(trees, "sintel")
    before = dataset[0]
    invalid = np.zeros((32, 64), dtype=bool)
    invalid[3:9, 10:20] = True
    write_mask(file_of(dataset, "valid_flow"), invalid)
    sample = dataset[0]
    assert torch.equal(sample["valid_flow"][0], torch.from_numpy(~invalid))
    assert torch.equal(sample["valid_flow_noc"], sample["valid_flow"] & ~before["occluded"])
    assert torch.equal(sample["occluded"], before["occluded"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_two_sizes_are_named(trees: Path, layout: str) -> None:
    dataset = opened(trees, layout)
    first, second = file_of(dataset, "left_t0"), file_of(dataset, "left_t1")
    write_image(second, np.zeros((32, 63, 3), np.uint8))
    with pytest.raises(UserError, match=r"differ in size.*32x64.*32x63") as caught:
        dataset[0]
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


@pytest.mark.parametrize("layout", ["things", "things_subset", "sintel"])
def test_optional_folders_may_be_absent_and_must_be_complete(trees: Path, layout: str) -> None:
    dataset = opened(trees, layout)
    optional = [file for file in dataset.files(0) if file.group == "optional"]
    assert optional
    for file in reversed(optional):  # the mask of the backward flow belongs to that flow
        Path(file.path).unlink()
        said = (
            r"(1 of \d optional files are missing:\n.*\n|into_past is incomplete: 1 of 1 pairs).*move it away"
        )
        with pytest.raises(UserError, match=said):
            opened(trees, layout)
        Path(file.path).parent.rmdir()
        for parent in list(Path(file.path).parents)[1:3]:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        assert file.key not in {
            other.key for other in opened(trees, layout).files(0) if other.group == "optional"
        }


def test_kitti2012_reads_the_cameras_that_are_chosen(trees: Path) -> None:
    colour, grey = (
        opened(trees, "kitti2012", "scene_flow", images=which)[0] for which in ("colored", "image")
    )
    for key in ("left_t0", "right_t1"):
        picture: torch.Tensor = grey[key]
        assert (picture[0] == picture[1]).all()
        assert (picture[1] == picture[2]).all()
        # ITU-R BT.601, as a grey picture of the same scene.
        weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        luma = (colour[key] * weights).sum(dim=0)
        assert (picture[0] - luma).abs().max() < 1 / 255
    assert torch.equal(colour["flow"], grey["flow"])
    assert "disparity_t0" in colour
    assert "disparity_t1" not in colour
    shutil.rmtree(trees / "kitti2012" / "training" / "colored_0")
    shutil.rmtree(trees / "kitti2012" / "training" / "colored_1")
    with pytest.raises(UserError, match=r"Looked for KITTI 2012 in .*colored_0, but .* contains training"):
        opened(trees, "kitti2012")


@pytest.mark.parametrize("layout", [*LAYOUTS, "kitti2015"])
def test_foreign_ids_and_cameras_are_named(trees: Path, layout: str) -> None:
    dataset = dataset_class(layout)
    root = trees / layout
    for marker in dataset.markers(dataset.chosen_options(None)):
        (root / marker).mkdir(parents=True, exist_ok=True)
    with pytest.raises(
        UserError, match=rf"'nothing/7' is not a valid id for {dataset.title}: expected .*example"
    ):
        dataset(root, [SplitEntry("nothing/7")], "flow", labels=False)
    if dataset.cameras == ("left",):
        id_ = {"chairs": "00001", "sintel": "clean/scene_0000/frame_0001"}[layout]
        with pytest.raises(UserError, match=r"camera=right, but .* has one camera"):
            dataset(root, [SplitEntry(id_, "right")], "flow", labels=False)


@pytest.mark.parametrize(
    ("layout", "line", "said"),
    [
        ("things", "000000_10", "'000000_10' is not a valid id for FlyingThings3D: expected part, letter"),
        ("chairs", "00001 camera=right", "has camera=right, but FlyingChairs has one camera"),
        ("sintel", "alley_1/frame_0001", "is not a valid id for MPI-Sintel: expected pass, scene and frame"),
    ],
)
def test_a_line_of_another_data_set_is_named(trees: Path, layout: str, line: str, said: str) -> None:
    path = trees / "mine.txt"
    path.write_text(f"# rule\n{line}\n")
    with pytest.raises(UserError) as caught:
        open_dataset(layout, str(trees / layout), str(path), "flow", False)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("layout", ["chairs", "sintel"])
def test_one_camera_has_no_scene_flow(trees: Path, layout: str) -> None:
    with pytest.raises(UserError, match="has one camera, so it has no scene_flow view"):
        opened(trees, layout, "scene_flow")


@pytest.mark.parametrize(
    ("name", "split", "options", "said"),
    [
        ("kitti", "scan", {}, r"dataset: 'kitti' is unknown; known: kitti2015, .*Did you mean kitti201"),
        ("things", "scan", {"pass": "clean"}, r"things has no option 'pass'; its options: render_pass"),
        ("things", "scan", {"render_pass": "dirty"}, r"render_pass of things must be one of clean, final, not 'dirty'"),
        ("chairs", "scan", {"part": "training"}, r"chairs has no option 'part'; its options: none"),
        ("things", "scan:train", {}, r"'scan:train' is not a split of things\..*scan, scan:TRAIN, scan:TEST"),
        ("sintel", "official:train", {}, r"'official:train' is not a split of sintel"),
        ("things", "lists/none.txt", {}, r"lists/none\.txt does not exist"),
    ],
)  # fmt: skip
def test_unknown_names_are_said(
    trees: Path, name: str, split: str, options: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=f"(?s){said}"):
        open_dataset(name, str(trees / name), split, "flow", False, options)


@pytest.mark.parametrize("layout", [*LAYOUTS, "kitti2015"])
def test_a_wrong_root_says_what_it_looked_for(tmp_path: Path, layout: str) -> None:
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(UserError, match=r"Looked for .* contains holiday\.jpg") as caught:
        open_dataset(layout, str(tmp_path), "scan", "flow", False)
    marker = dataset_class(layout).markers(dataset_class(layout).chosen_options(None))[0]
    assert str(tmp_path / marker) in str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("levels", [-1, 1])
def test_a_root_one_level_off_is_recognised(trees: Path, layout: str, levels: int) -> None:
    root = trees / layout
    marker = dataset_class(layout).markers(dataset_class(layout).chosen_options(None))[0]
    wrong = root / Path(marker).parts[0] if levels == 1 else trees
    if levels == -1:
        for other in LAYOUTS:
            if other != layout:
                shutil.rmtree(trees / other)
    if layout == "chairs" and levels == 1:
        assert (
            len(open_dataset(layout, str(wrong), "scan", "flow", False)) == 1
        )  # FlyingChairs_release also works
        return
    with pytest.raises(UserError, match=rf"did you mean {root}\?"):
        open_dataset(layout, str(wrong), "scan", "flow", False)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tree_without_pairs_says_how_files_are_named(trees: Path, layout: str) -> None:
    root = trees / layout
    for pattern in ("*.png", "*.ppm", "*.flo"):
        for path in root.rglob(pattern):
            path.unlink()
    with pytest.raises(UserError, match=r"contains no (pair|flow files)"):
        open_dataset(layout, str(root), "scan", "flow", False)
