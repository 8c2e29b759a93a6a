"""KittiDataset on tiny trees: both views, the files that are read, and messages about missing files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from kitti_writer import frame_picture, write_kitti

from flowdistill.data.datasets import split_entries
from flowdistill.data.kitti import KittiDataset
from flowdistill.data.sample import collate
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import FormatError, write_image, write_kitti_flow

FIRST = [SplitEntry("000000_10")]


def picture(sequence: int, frame: int, camera: int) -> torch.Tensor:
    pixels = frame_picture(sequence, frame, camera, (6, 9)).astype(np.float64) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1)).float()


def test_scene_flow_view(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0, 1])
    sample = KittiDataset(root, [*FIRST, SplitEntry("000001_10")], "scene_flow", labels=True)[1]
    torch.testing.assert_close(sample["left_t0"], picture(1, 10, 2))
    torch.testing.assert_close(sample["right_t0"], picture(1, 10, 3))
    torch.testing.assert_close(sample["left_t1"], picture(1, 11, 2))
    torch.testing.assert_close(sample["right_t1"], picture(1, 11, 3))
    assert sample["flow"][:, 2, 3].tolist() == [1.5, -2]
    assert sample["disparity_t0"][0, 2, 3] == 4
    assert sample["disparity_t1"][0, 2, 3] == 5
    for key in ("flow", "disparity_t0", "disparity_t1"):
        assert sample[f"valid_{key}"].dtype == torch.bool
        assert sample[f"valid_{key}"].sum() == 53
        assert sample[f"valid_{key}_noc"].sum() == 45
    assert sample["foreground"].nonzero().tolist() == [[0, 1, 2]]
    assert sample["intrinsics"][0].tolist() == pytest.approx([721.5, 0, 609.6])
    assert float(sample["baseline"]) == pytest.approx(0.5327, abs=1e-4)
    assert sample["name"] == "000001_10"
    assert sample["size"].tolist() == [6, 9]


def test_shapes_and_types_follow_the_contract(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0, 1])
    dataset = KittiDataset(root, [*FIRST, SplitEntry("000001_10")], "scene_flow", labels=True)
    batch = collate([dataset[0], dataset[1]])
    channels = {
        "left_t0": 3,
        "right_t1": 3,
        "flow": 2,
        "disparity_t1": 1,
        "valid_flow_noc": 1,
        "foreground": 1,
    }
    for key, count in channels.items():
        assert batch[key].shape == (2, count, 6, 9)
    assert batch["flow"].dtype == batch["left_t0"].dtype == batch["intrinsics"].dtype == torch.float32
    assert batch["size"].dtype == torch.int64
    assert batch["intrinsics"].shape == (2, 3, 3)


def test_flow_view_of_one_camera_needs_only_its_folder(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [4], frames=(0, 1), cameras=[2], labels=False, extras=False)
    sample = KittiDataset(root, [SplitEntry("000004_00")], "flow", labels=False)[0]
    assert set(sample) == {"name", "left_t0", "left_t1", "size"}
    torch.testing.assert_close(sample["left_t1"], picture(4, 1, 2))


def test_right_camera_in_the_flow_view(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0], labels=False)
    sample = KittiDataset(root, [SplitEntry("000000_10", "right")], "flow", labels=False)[0]
    torch.testing.assert_close(sample["left_t0"], picture(0, 10, 3))
    assert sample["name"] == "000000_10_right"
    assert float(sample["intrinsics"][0, 2]) == pytest.approx(610.6)


def test_flow_view_with_labels_has_flow_only(tmp_path: Path) -> None:
    sample = KittiDataset(write_kitti(tmp_path, [0]), FIRST, "flow", labels=True)[0]
    assert {"flow", "valid_flow", "valid_flow_noc", "foreground"} <= set(sample)
    assert not any(key.startswith(("disparity", "right")) for key in sample)


@pytest.mark.parametrize("root", [None, "", "  "])
def test_no_root_says_how_to_give_one(root: str | None) -> None:
    with pytest.raises(UserError, match=r"--data\.init_args\.root DIR or `export DATA_ROOT=DIR`"):
        KittiDataset(root, FIRST, "flow", labels=False)


def test_wrong_root_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "testing").mkdir()
    with pytest.raises(UserError) as caught:
        KittiDataset(tmp_path, FIRST, "flow", labels=False)
    for said in (
        str(tmp_path / "training" / "image_2"),
        "contains testing",
        "--data.init_args.root",
        "DATA_ROOT",
    ):
        assert said in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        KittiDataset(tmp_path / "gone", FIRST, "flow", labels=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is not a folder"):
        KittiDataset(tmp_path / "file", FIRST, "flow", labels=False)


def test_root_one_level_too_deep_is_recognised(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0])
    with pytest.raises(UserError, match=f"did you mean {root}"):
        KittiDataset(root / "training", FIRST, "flow", labels=False)


def test_missing_images_are_counted_and_the_first_named(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0], labels=False, extras=False)
    entries = [SplitEntry(f"{sequence:06d}_10") for sequence in range(10)]
    with pytest.raises(UserError) as caught:
        KittiDataset(root, entries, "flow", labels=False)
    text = str(caught.value)
    assert text.startswith("18 of 20 images that the flow view needs are missing:")
    assert str(root / "training" / "image_2" / "000001_10.png") in text
    assert "and 14 more" in text
    assert "000004" not in text


def test_missing_camera_folder_is_named(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0], cameras=[2], labels=False, extras=False)
    with pytest.raises(UserError, match=r"(?s)2 of 4 images .*There is no folder .*/image_3\."):
        KittiDataset(root, FIRST, "scene_flow", labels=False)


def test_missing_labels_are_named(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0], labels=False)
    with pytest.raises(UserError, match=r"label files .*\n[^\n]*flow_occ/000000_10\.png") as caught:
        KittiDataset(root, FIRST, "flow", labels=True)
    assert "val_labels false" in str(caught.value)


@pytest.mark.parametrize("folder", ["obj_map", "calib_cam_to_cam"])
def test_optional_folder_must_be_complete(tmp_path: Path, folder: str) -> None:
    root = write_kitti(tmp_path, [0, 1])
    next((root / "training" / folder).glob("000001*")).unlink()
    entries = [*FIRST, SplitEntry("000001_10")]
    with pytest.raises(UserError, match=f"1 of .*\n.*{folder}/000001"):
        KittiDataset(root, entries, "flow", labels=True)
    shutil.rmtree(root / "training" / folder)
    assert len(KittiDataset(root, entries, "flow", labels=True)) == 2


def test_right_camera_has_no_labels_and_no_scene_flow(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0])
    right = [SplitEntry("000000_10", "right")]
    with pytest.raises(UserError, match=r"000000_10 has camera=right, but labels exist for the left"):
        KittiDataset(root, right, "flow", labels=True)
    with pytest.raises(UserError, match=r"camera=right, but the scene-flow view starts from the left"):
        KittiDataset(root, right, "scene_flow", labels=False)


def test_foreign_id_is_named(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0])
    with pytest.raises(UserError, match=r"'0000_10' is not a valid id for KITTI 2015: expected .*SSSSSS_FF"):
        KittiDataset(root, [SplitEntry("0000_10")], "flow", labels=False)


@pytest.mark.parametrize("name", ["image_2/000000_11.png", "flow_noc/000000_10.png", "obj_map/000000_10.png"])
def test_size_mismatch_names_both_files(tmp_path: Path, name: str) -> None:
    root = write_kitti(tmp_path, [0])
    path = root / "training" / name
    if name.startswith("flow"):
        write_kitti_flow(path, np.zeros((6, 8, 2), np.float32))
    else:
        write_image(path, np.zeros((6, 8) if name.startswith("obj") else (6, 8, 3), np.uint8))
    dataset = KittiDataset(root, FIRST, "flow", labels=True)
    with pytest.raises(UserError) as caught:
        dataset[0]
    for said in (str(path), "image_2/000000_10.png", "6x9", "6x8"):
        assert said in str(caught.value)


def test_damaged_file_is_a_format_error(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0])
    path = root / "training" / "flow_occ" / "000000_10.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FormatError, match=r"flow_occ/000000_10\.png"):
        KittiDataset(root, FIRST, "flow", labels=True)[0]


def scan(root: Path) -> list[SplitEntry]:
    return split_entries(KittiDataset, str(root), "scan", KittiDataset.chosen_options(None))


def test_scan_takes_frames_with_a_successor(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [7, 2], frames=(9, 10, 11, 20), labels=False)
    (root / "training" / "image_2" / "notes.txt").write_text("")
    assert [entry.id for entry in scan(root)] == ["000002_09", "000002_10", "000007_09", "000007_10"]


def test_scan_of_no_pairs_says_how_frames_are_named(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [7], frames=(9,), labels=False)
    with pytest.raises(
        UserError, match=r"image_2 contains no pair of frames, but 000007_09\.png.*SSSSSS_FF\.png"
    ):
        scan(root)


def test_testing_part_has_images_and_no_labels(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0], labels=False)
    (root / "training").rename(root / "testing")
    testing = {"part": "testing"}
    sample = KittiDataset(root, FIRST, "scene_flow", labels=False, options=testing)[0]
    torch.testing.assert_close(sample["right_t1"], picture(0, 11, 3))
    with pytest.raises(UserError, match=r"KITTI 2015: the testing part has no labels\. Set .*val_labels"):
        KittiDataset(root, FIRST, "scene_flow", labels=True, options=testing)
    with pytest.raises(
        UserError, match=r"Looked for KITTI 2015 in .*training/image_2, but .* contains testing"
    ):
        KittiDataset(root, FIRST, "scene_flow", labels=False)
