"""KITTI 2015 and other data in its layout, such as the rendered data.

    <root>/training/image_2/SSSSSS_FF.png             left camera (image_3: right), sequence and frame
    <root>/training/flow_occ flow_noc/SSSSSS_FF.png   16-bit flow; occ: all pixels with GT, noc: visible in both frames
    <root>/training/disp_occ_0 disp_noc_0/...         16-bit disparity at t0, positive
    <root>/training/disp_occ_1 disp_noc_1/...         16-bit disparity at t1 on the grid of t0, positive, absolute
    <root>/training/obj_map/SSSSSS_FF.png             8-bit, 0 = background    (optional: the folder may be missing)
    <root>/training/calib_cam_to_cam/SSSSSS.txt       intrinsics and baseline  (optional)
    <root>/testing/...                                the same without labels

An id is `SSSSSS_FF`: t0 is frame FF, t1 frame FF+1. Source: the development kit of KITTI's scene flow benchmark 2015.
"""

import re
from collections.abc import Mapping
from typing import ClassVar

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.files import (
    KITTI_DISPARITY,
    KITTI_FLOW,
    OBJECT_MAP,
    FileKind,
    SampleFile,
    calibration_kind,
)
from flowdistill.data.splits import Camera, SplitEntry
from flowdistill.data.tree import contents, listing
from flowdistill.errors import UserError


class KittiDataset(MotionDataset):
    """KITTI 2015 (`dataset: kitti2015`); options: `part: training|testing`.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.data import KittiDataset, SplitEntry
        >>> from flowdistill.formats import write_image, write_kitti_flow
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for folder in ("image_2", "flow_occ", "flow_noc"):
        ...         Path(root, "training", folder).mkdir(parents=True)
        ...     for name in ("000000_10.png", "000000_11.png"):
        ...         write_image(f"{root}/training/image_2/{name}", np.zeros((64, 96, 3), np.uint8))
        ...     for folder in ("flow_occ", "flow_noc"):
        ...         write_kitti_flow(f"{root}/training/{folder}/000000_10.png", np.full((64, 96, 2), [2.0, -0.5]))
        ...     sample = KittiDataset(root, [SplitEntry("000000_10")], view="flow", labels=True)[0]
        >>> sample["flow"][:, 0, 0], sample["valid_flow"].sum().item()  # 64 * 96 pixels
        (tensor([ 2.0000, -0.5000]), 6144)
    """

    name = "kitti2015"
    title = "KITTI 2015"
    id_form = re.compile(r"(\d{6})_(\d{2})")
    id_words = "sequence and frame as SSSSSS_FF, for example 000000_10"
    option_values: ClassVar[Mapping[str, tuple[str, ...]]] = {"part": ("training", "testing")}

    disparity_folders: ClassVar[Mapping[str, tuple[str, str]]] = {
        "disparity_t0": ("disp_occ_0", "disp_noc_0"),
        "disparity_t1": ("disp_occ_1", "disp_noc_1"),
    }
    flow_folders: ClassVar[tuple[str, str]] = ("flow_occ", "flow_noc")
    object_folder: ClassVar[str | None] = "obj_map"
    calibration_folder: ClassVar[str] = "calib_cam_to_cam"

    def images(self, entry: SplitEntry) -> list[SampleFile]:
        ids, folders = (entry.id, successor(entry.id)), self.image_folders(self.options)
        return self.image_files(entry, lambda camera, time: self._path(folders[camera], f"{ids[time]}.png"))

    def truth(self, entry: SplitEntry) -> list[SampleFile]:
        files: list[SampleFile] = []
        name = f"{entry.id}.png"
        if self.view == "scene_flow":
            for key, folders in self.disparity_folders.items():
                files += self._label(key, folders, name, KITTI_DISPARITY)
        files += self._label("flow", self.flow_folders, name, KITTI_FLOW)
        if self.object_folder is not None and self.has_folder(f"{self.options['part']}/{self.object_folder}"):
            files.append(
                SampleFile("foreground", self._path(self.object_folder, name), OBJECT_MAP, "optional")
            )
        return files

    def extras(self, entry: SplitEntry) -> list[SampleFile]:
        if not self.has_folder(f"{self.options['part']}/{self.calibration_folder}"):
            return []
        sequence = self.match_id(entry)[1]
        kind = calibration_kind(*self.matrices(self.options))
        path = self._path(self.calibration_folder, f"{sequence}.txt")
        return [SampleFile("intrinsics", path, kind, "optional")]

    def without_truth(self) -> str | None:
        return "the testing part has no labels" if self.options["part"] == "testing" else None

    @classmethod
    def image_folders(cls, options: Mapping[str, str]) -> dict[Camera, str]:
        """Return the folder of each camera's frames."""
        return {"left": "image_2", "right": "image_3"}

    @classmethod
    def matrices(cls, options: Mapping[str, str]) -> tuple[str, str]:
        """Return the names of the left and right camera's projection matrices in a calibration file."""
        return "P_rect_02", "P_rect_03"

    @classmethod
    def markers(cls, options: Mapping[str, str]) -> list[str]:
        return [f"{options['part']}/{folder}" for folder in cls.image_folders(options).values()]

    @classmethod
    def named_split(cls, word: str, root: str, options: Mapping[str, str]) -> list[SplitEntry]:
        """`scan`: every frame of the left camera that has a successor, in order."""
        folder = f"{root}/{options['part']}/{cls.image_folders(options)['left']}"
        ids = {name[:-4] for name in listing(folder) if name.endswith(".png")}
        entries = [
            SplitEntry(id_) for id_ in sorted(ids) if cls.id_form.fullmatch(id_) and successor(id_) in ids
        ]
        if not entries:
            raise UserError(
                f"{folder} contains no pair of frames, but {contents(folder)}. Frames are named SSSSSS_FF.png "
                "(sequence, frame), a pair is two consecutive frames: 000000_10.png and 000000_11.png."
            )
        return entries

    def _path(self, folder: str, name: str) -> str:
        return f"{self.root}/{self.options['part']}/{folder}/{name}"

    def _label(self, key: str, folders: tuple[str, str], name: str, kind: FileKind) -> list[SampleFile]:
        occ, noc = (self._path(folder, name) for folder in folders)
        return [SampleFile(key, occ, kind), SampleFile(f"valid_{key}_noc", noc, kind)]


def successor(id_: str) -> str:
    """Return the id of the next frame: `000000_10` -> `000000_11`."""
    sequence, frame = id_.split("_")
    return f"{sequence}_{int(frame) + 1:02d}"
