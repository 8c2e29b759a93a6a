"""The files of `flowdistill infer`.

OUTPUT/flow/NAME.png           OUTPUT/flow_backward/...   OUTPUT/disp_0/... OUTPUT/disp_1/...   any motion format
OUTPUT/flow_colour/NAME.png    ...                        the same motions as colours
OUTPUT/flow.mp4                ...                        the same colours as a video
OUTPUT/occluded/NAME.png                                  255 = occluded
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from flowdistill.errors import UserError
from flowdistill.formats import write_image, write_mask
from flowdistill.formats.kitti import FOLDERS
from flowdistill.formats.motion import Motion, can_hold, known, write_motion
from flowdistill.inference.predict import to_array
from flowdistill.visual import disparity_to_colours, flow_to_colours

MOTIONS = {**FOLDERS, "flow_backward": "flow_backward"}  # key of the batch contract -> folder
FILES = ("flo", "pfm", "png", "npz")
FORMATS = (*FILES, "colour", "video")


class Outputs:
    """Writes predictions in the requested formats.

    Args:
        folder: of the files.
        formats: some of `FORMATS`; flo stores flow only, disparity is left to the others.
        rate: frames per second of a video.
        ranges: px at full colour, by quantity ("flow", "disparity"). In pictures the default is the largest value of
            each; in a video the range is that of its first frame, since colours that change their meaning flicker.

    Raises:
        UserError: no format can store a motion of `motions`.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        motions: Sequence[str],
        rate: float = 10.0,
        ranges: Mapping[str, float] | None = None,
    ) -> None:
        self.folder, self.formats, self.rate = folder, tuple(formats), rate
        self.ranges = dict(ranges or {})
        self.videos: dict[str, _Video] = {}
        for key in motions:
            if not self._stored_as(_quantity(key)) and not {"colour", "video"} & set(formats):
                raise UserError(
                    f"--format {' '.join(formats)}: {key} cannot be stored, because a .flo file can only store flow; "
                    "add pfm, png or npz"
                )

    def write(self, names: Sequence[str], found: Mapping[str, Tensor]) -> None:
        """Write a batch: key -> (B, C, H, W)."""
        for row, name in enumerate(names):
            for key, value in found.items():
                self._write_one(key, name, to_array(value[row]))

    def close(self) -> list[Path]:
        """Finish the videos and return them."""
        return [video.close() for video in self.videos.values()]

    def abandon(self) -> None:
        """Remove unfinished videos."""
        for video in self.videos.values():
            video.abandon()

    def exist(self, name: str, keys: Sequence[str]) -> bool:
        """Return whether all files of a sample exist; never with a video."""
        return "video" not in self.formats and all(path.is_file() for path in self._paths(name, keys))

    def _paths(self, name: str, keys: Sequence[str]) -> list[Path]:
        paths = []
        for key in keys:
            if key not in MOTIONS:
                paths.append(self.folder / key / f"{name}.png")
                continue
            paths += [self.folder / MOTIONS[key] / f"{name}.{f}" for f in self._stored_as(_quantity(key))]
            if "colour" in self.formats:
                paths.append(self.folder / f"{MOTIONS[key]}_colour" / f"{name}.png")
        return paths

    def _stored_as(self, quantity: str) -> list[str]:
        return [f for f in self.formats if f in FILES and can_hold(f".{f}", quantity)]  # type: ignore[arg-type]

    def _write_one(self, key: str, name: str, array: npt.NDArray[Any]) -> None:
        if key.startswith("confidence"):
            grey = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
            write_image(_made(self.folder / key / f"{name}.png"), np.repeat(grey, 3, axis=2))
            return
        if key not in MOTIONS:
            write_mask(_made(self.folder / key / f"{name}.png"), array)
            return
        folder, quantity = MOTIONS[key], _quantity(key)
        for suffix in self._stored_as(quantity):
            motion = Motion(quantity, array, known(array))  # type: ignore[arg-type]
            write_motion(_made(self.folder / folder / f"{name}.{suffix}"), motion)
        if "colour" in self.formats:
            picture = _coloured(quantity, array, self.ranges.get(quantity))
            write_image(_made(self.folder / f"{folder}_colour" / f"{name}.png"), picture)
        if "video" in self.formats:
            if folder not in self.videos:
                self.videos[folder] = _Video(
                    self.folder / f"{folder}.mp4", self.rate, self.ranges.get(quantity) or _range_of(array)
                )
            video = self.videos[folder]
            video.add(_coloured(quantity, array, video.maximum), name)


class _Video:
    """One MPEG-4 file, written under a temporary name."""

    def __init__(self, path: Path, rate: float, maximum: float) -> None:
        self.path, self.rate, self.maximum = path, rate, maximum
        self.unfinished = path.with_name(f".{path.stem}.unfinished.mp4")
        self.writer: cv2.VideoWriter | None = None
        self.size: tuple[int, int] | None = None  # rows, columns

    def add(self, picture: npt.NDArray[np.uint8], name: str) -> None:
        size = (picture.shape[0], picture.shape[1])
        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self.size = size
            self.writer = cv2.VideoWriter(str(self.unfinished), code, self.rate, (size[1], size[0]))
            if not self.writer.isOpened():
                raise UserError(f"{self.path}: OpenCV cannot write a video here; use --format colour")
        if size != self.size:
            assert self.size is not None
            raise UserError(
                f"{name} has {size[0]}x{size[1]} pixels, the frames before it {self.size[0]}x{self.size[1]}: they "
                "cannot be in one video; use --format colour"
            )
        self.writer.write(np.ascontiguousarray(picture[..., ::-1]))

    def close(self) -> Path:
        assert self.writer is not None
        self.writer.release()
        if not self.unfinished.is_file() or self.unfinished.stat().st_size == 0:
            raise UserError(f"{self.path}: the video could not be written; is the disk full?")
        os.replace(self.unfinished, self.path)
        return self.path

    def abandon(self) -> None:
        if self.writer is not None:
            self.writer.release()
        self.unfinished.unlink(missing_ok=True)


def _quantity(key: str) -> str:
    return "flow" if key.startswith("flow") else "disparity"


def _coloured(quantity: str, array: npt.NDArray[Any], maximum: float | None) -> npt.NDArray[np.uint8]:
    return flow_to_colours(array, maximum) if quantity == "flow" else disparity_to_colours(array, maximum)


def _range_of(array: npt.NDArray[Any]) -> float:
    """Return a range for a whole video from its first frame: a quarter more than the 99th percentile, at least 1 px."""
    return max(1.0, 1.25 * float(np.percentile(np.linalg.norm(array, axis=2), 99)))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
