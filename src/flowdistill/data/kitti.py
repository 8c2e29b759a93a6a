"""KITTI 2015 and everything in its layout (the rendered data, a user's own frames) as a map-style dataset.

Two views of the same files: `flow`, two frames of one camera; `scene_flow`, two frames of both.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from flowdistill.data.calibration import read_calibration
from flowdistill.data.kitti_tree import IMAGE_FOLDERS, check_files, frame_of, successor, training_folder
from flowdistill.data.sample import Sample
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import read_image, read_kitti_disparity, read_kitti_flow, read_object_map

ViewName = Literal["flow", "scene_flow"]

# Key -> (folder of the occ label, folder of the noc label). Both disparities are absolute and positive in the
# files.
_FLOW_LABELS = {"flow": ("flow_occ", "flow_noc")}
_SCENE_FLOW_LABELS = {
    "disparity_t0": ("disp_occ_0", "disp_noc_0"),
    "disparity_t1": ("disp_occ_1", "disp_noc_1"),
    **_FLOW_LABELS,
}
_OBJECT_MAP, _CALIBRATION = "obj_map", "calib_cam_to_cam"

Reader = Callable[[Path], tuple[np.ndarray, np.ndarray]]


class KittiDataset:
    """Samples of the batch contract from KITTI 2015's layout.

    `obj_map` and `calib_cam_to_cam` are used where the folder exists, and must then be complete.

    Args:
        root: the folder that holds `training`.
        entries: the samples; ids are `SSSSSS_FF`, t0 is frame FF and t1 frame FF+1.
        view: `flow` needs the entry's camera only; `scene_flow` needs both.
        labels: whether to read ground truth; it belongs to the left camera.

    Raises:
        UserError: from the constructor if anything that the entries need is missing, or cannot be had for
            them; from indexing if the files of one sample differ in size.
        FormatError: from indexing, for a damaged file.
    """

    def __init__(
        self, root: str | Path | None, entries: Sequence[SplitEntry], view: ViewName, labels: bool
    ) -> None:
        self.training = training_folder(root)
        self.entries = list(entries)
        self.view = view
        self.has_calibration = (self.training / _CALIBRATION).is_dir()
        self.has_foreground = labels and (self.training / _OBJECT_MAP).is_dir()
        self.labels: dict[str, tuple[str, str]] = {}
        if labels:
            self.labels = _FLOW_LABELS if view == "flow" else _SCENE_FLOW_LABELS
        self._check(labels)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self.entries[index]
        sample: dict[str, Any] = {"name": entry.name}
        reference: tuple[Path, tuple[int, int]] | None = None
        for key, folder, name in self._images(entry):
            path = self.training / folder / name
            sample[key] = _to_image(read_image(path))
            reference = _same_size(reference, path, sample[key])
        for key, folders in self.labels.items():
            read: Reader = read_kitti_flow if key == "flow" else read_kitti_disparity
            occ, noc = (self.training / folder / f"{entry.id}.png" for folder in folders)
            values, valid = read(occ)
            sample[key] = _to_map(values)
            sample[f"valid_{key}"] = _to_map(valid[..., None])
            sample[f"valid_{key}_noc"] = _to_map(read(noc)[1][..., None])
            reference = _same_size(reference, occ, sample[key])
            reference = _same_size(reference, noc, sample[f"valid_{key}_noc"])
        if self.has_foreground:
            path = self.training / _OBJECT_MAP / f"{entry.id}.png"
            sample["foreground"] = _to_map(read_object_map(path)[..., None] > 0)
            reference = _same_size(reference, path, sample["foreground"])
        if self.has_calibration:
            calibration = read_calibration(self.training / _CALIBRATION / _calibration_name(entry))
            sample["intrinsics"] = torch.from_numpy(calibration.intrinsics(entry.camera))
            sample["baseline"] = torch.tensor(calibration.baseline, dtype=torch.float32)
        sample["size"] = torch.tensor(sample["left_t0"].shape[-2:], dtype=torch.int64)
        return cast(Sample, sample)

    def _images(self, entry: SplitEntry) -> list[tuple[str, str, str]]:
        """(key, folder, file name) of each image of a sample."""
        t0, t1 = f"{entry.id}.png", f"{successor(entry.id)}.png"
        if self.view == "flow":
            # In the flow view "left" means the camera that the sample is about.
            folder = IMAGE_FOLDERS[entry.camera]
            return [("left_t0", folder, t0), ("left_t1", folder, t1)]
        left, right = IMAGE_FOLDERS["left"], IMAGE_FOLDERS["right"]
        return [
            ("left_t0", left, t0),
            ("right_t0", right, t0),
            ("left_t1", left, t1),
            ("right_t1", right, t1),
        ]

    def _check(self, labels: bool) -> None:
        images: dict[str, list[str]] = defaultdict(list)
        truth: dict[str, list[str]] = defaultdict(list)
        calibration: dict[str, list[str]] = defaultdict(list)
        for entry in self.entries:
            frame_of(entry)
            if entry.camera == "right" and (labels or self.view == "scene_flow"):
                reason = (
                    "the scene-flow view starts from" if self.view == "scene_flow" else "labels exist for"
                )
                raise UserError(
                    f"Sample {entry.id} asks for camera=right, but {reason} the left camera only. "
                    "Use another split, or the flow view without labels."
                )
            for _, folder, name in self._images(entry):
                images[folder].append(name)
            for folders in self.labels.values():
                for folder in folders:
                    truth[folder].append(f"{entry.id}.png")
            if self.has_foreground:
                truth[_OBJECT_MAP].append(f"{entry.id}.png")
            if self.has_calibration:
                calibration[_CALIBRATION].append(_calibration_name(entry))
        view = f"the {self.view} view"
        check_files(
            self.training,
            dict(images),
            f"images that {view} needs",
            "Complete the data, choose a split that fits what is there, or `scan` for every pair of frames.",
        )
        check_files(
            self.training,
            dict(truth),
            f"label files that {view} needs",
            "Without ground truth, set --data.init_args.val_labels false; training and predicting on labels "
            "need the files.",
        )
        check_files(
            self.training,
            dict(calibration),
            "calibration files",
            f"Complete the folder {_CALIBRATION}, or move it away: it is optional.",
        )


def _calibration_name(entry: SplitEntry) -> str:
    return f"{frame_of(entry)[0]}.txt"


def _to_image(pixels: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) to float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).to(torch.float32).div_(255)


def _to_map(values: np.ndarray) -> Tensor:
    """(H, W, C) to (C, H, W), dtype kept."""
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def _same_size(
    reference: tuple[Path, tuple[int, int]] | None, path: Path, tensor: Tensor
) -> tuple[Path, tuple[int, int]]:
    """The first file of a sample and its size, after a check that this one has the same."""
    height, width = tensor.shape[-2:]
    if reference is None:
        return path, (height, width)
    first, size = reference
    if (height, width) != size:
        raise UserError(
            f"Files of one sample differ in size (height x width): {first} is {size[0]}x{size[1]}, "
            f"{path} is {height}x{width}. Replace the wrong one or leave the sample out of the split."
        )
    return reference
