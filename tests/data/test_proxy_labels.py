"""labels= in a split: teacher labels in the flow view, in place of ground truth in the scene-flow view."""

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from kitti_writer import write_kitti

from flowdistill.data import KittiDataset, SplitEntry, collate
from flowdistill.data.dataset import ViewName
from flowdistill.errors import UserError
from flowdistill.formats import write_kitti_disparity, write_kitti_flow, write_mask

SIZE = (6, 9)
PROXY = SplitEntry("000000_00", labels="proxy")
RIGHT = SplitEntry("000000_00", "right", "proxy")
TRUE = SplitEntry("000000_00")


def write_proxies(root: Path, id_: str, camera: str = "left", folder: str = "proxy") -> dict[str, np.ndarray]:
    """Write random labels on the formats' grid, with holes, and return them."""
    rng = np.random.default_rng(0 if camera == "left" else 1)
    out: dict[str, np.ndarray] = {}
    for name in ("flow", "flow_backward", "disp_0", "disp_1", "occlusion", "occlusion_backward"):
        if camera == "right" and name.startswith("disp"):
            continue
        path = root / folder / camera / name / f"{id_}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        valid = rng.random(SIZE) < 0.7
        if name.startswith("flow"):
            out[name] = (rng.integers(-1000, 1000, (*SIZE, 2)) / 64).astype(np.float32) * valid[..., None]
            write_kitti_flow(path, out[name], valid)
        elif name.startswith("disp"):
            out[name] = (rng.integers(1, 9000, (*SIZE, 1)) / 256).astype(np.float32) * valid[..., None]
            write_kitti_disparity(path, out[name], valid)
        else:
            out[name] = rng.random((*SIZE, 1)) < 0.3
            write_mask(path, out[name])
        out[f"valid_{name}"] = valid[..., None]
    return out


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_kitti(tmp_path, [0, 1], frames=(0, 1))


def sample_of(
    root: Path, entries: list[SplitEntry], view: str, labels: bool, index: int = 0
) -> dict[str, Any]:
    return cast(dict[str, Any], KittiDataset(root, entries, cast(ViewName, view), labels)[index])


def equal(found: torch.Tensor, expected: np.ndarray) -> bool:
    return np.array_equal(found.numpy().transpose(1, 2, 0), expected)


@pytest.mark.parametrize("entry", [PROXY, RIGHT])
def test_flow_view_has_the_teacher_beside_the_images(root: Path, entry: SplitEntry) -> None:
    written = write_proxies(root, entry.id, entry.camera)
    sample = sample_of(root, [entry], "flow", labels=False)
    teacher = {"teacher_flow", "teacher_flow_backward", "teacher_occluded", "teacher_occluded_backward"}
    assert set(sample) == {"name", "size", "left_t0", "left_t1", "intrinsics", "baseline"} | teacher
    for key, name, mask in (
        ("teacher_flow", "flow", "occlusion"),
        ("teacher_flow_backward", "flow_backward", "occlusion_backward"),
    ):
        assert equal(sample[key], written[name])
        # Where the teacher has no prediction, there is no training signal.
        occluded = sample[key.replace("flow", "occluded")]
        assert equal(occluded, written[mask] | ~written[f"valid_{name}"])


def test_flow_view_has_teacher_and_truth(root: Path) -> None:
    write_proxies(root, PROXY.id)
    sample = sample_of(root, [PROXY], "flow", labels=True)
    assert {"flow", "valid_flow_noc", "teacher_flow", "teacher_occluded_backward"} <= set(sample)
    assert sample["flow"][:, 2, 3].tolist() == [0.5, -2]


def test_scene_flow_view_reads_proxies_as_ground_truth(root: Path) -> None:
    written = write_proxies(root, PROXY.id)
    sample = sample_of(root, [PROXY], "scene_flow", labels=True)
    for key, name in (("flow", "flow"), ("disparity_t0", "disp_0"), ("disparity_t1", "disp_1")):
        assert equal(sample[key], written[name])
        assert equal(sample[f"valid_{key}"], written[f"valid_{name}"])
    assert not [key for key in sample if key.startswith("teacher") or key.endswith("noc")]
    assert not [key for key in sample_of(root, [PROXY], "scene_flow", labels=False) if "flow" in key]


def test_truth_and_proxies_in_one_split_make_one_batch(root: Path) -> None:
    """As in kitti_mixed. Both kinds have the keys for training; only ground truth has `_noc` masks and foreground."""
    write_proxies(root, "000001_00")
    entries = [TRUE, SplitEntry("000001_00", labels="proxy")]
    dataset = KittiDataset(root, entries, "scene_flow", labels=True)
    batch = collate([dataset[0], dataset[1]])
    labels = {
        f"{prefix}{key}" for key in ("flow", "disparity_t0", "disparity_t1") for prefix in ("", "valid_")
    }
    images = {"left_t0", "right_t0", "left_t1", "right_t1"}
    assert set(batch) == {"name", "size", "intrinsics", "baseline"} | images | labels
    assert batch["disparity_t1"][0, 0, 2, 3] == 5
    assert not [file for file in dataset.files(0) if "noc" in file.path or "obj_map" in file.path]


def test_teacher_for_some_lines_only_is_an_error(root: Path) -> None:
    write_proxies(root, "000001_00")
    entries = [TRUE, SplitEntry("000001_00", labels="proxy")]
    with pytest.raises(
        UserError, match=r"only some have teacher_flow, .*'000001_00 labels=proxy'.*labels= or none"
    ):
        KittiDataset(root, entries, "flow", labels=False)


def test_missing_labels_folder_is_named(root: Path) -> None:
    for view in ("flow", "scene_flow"):
        said = r"(?s)proxy labels that the split requires.*There is no folder .*proxy/left"
        with pytest.raises(UserError, match=said):
            KittiDataset(root, [PROXY], cast(ViewName, view), labels=True)
    write_proxies(root, PROXY.id)
    missing = root / "proxy" / "left" / "disp_1" / "000000_00.png"
    missing.unlink()
    with pytest.raises(UserError, match=f"1 of 3 proxy labels .*missing:\n  {missing}"):
        KittiDataset(root, [PROXY], "scene_flow", labels=True)
    KittiDataset(root, [PROXY], "flow", labels=True)


def test_right_camera_has_a_teacher_but_neither_truth_nor_scene_flow(root: Path) -> None:
    write_proxies(root, RIGHT.id, "right")
    with pytest.raises(UserError, match="labels exist for the left camera only"):
        KittiDataset(root, [RIGHT], "flow", labels=True)
    with pytest.raises(UserError, match="scene-flow view starts from the left camera only"):
        KittiDataset(root, [RIGHT], "scene_flow", labels=True)


def test_folders_may_differ_from_line_to_line(root: Path) -> None:
    first, second = (write_proxies(root, PROXY.id, folder=name) for name in ("one", "a/two"))
    assert np.array_equal(first["flow"], second["flow"])
    shutil.rmtree(root / "one" / "left" / "disp_0")
    entries = [SplitEntry(PROXY.id, labels="a/two"), SplitEntry(PROXY.id, labels="one")]
    assert len(KittiDataset(root, entries[:1], "scene_flow", labels=True)) == 1
    with pytest.raises(UserError, match=r"1 of 6 proxy labels .*\n.*one/left/disp_0"):
        KittiDataset(root, entries, "scene_flow", labels=True)
