"""What the layouts of KITTI 2012 and 2015 share.

As in KITTI, `occ` labels hold all pixels, also those that leave the frame; `noc` those that are seen in the other
picture as well. Unlike KITTI, whose labels belong to frame 10 alone, every frame that has a successor is labelled.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from flowdistill.formats import write_atomically, write_image
from flowdistill.render.layouts.layout import Layout, Limit, new_pictures, place
from flowdistill.render.request import Request
from flowdistill.render.sequence import Picture, RenderedFrame


class KittiLayout(Layout):
    """`training/` with and `testing/` without labels, files named SSSSSS_FF.png; both number scenes from 0."""

    has_test_scenes = True
    #: The folders of pictures, left and right, that hold colour and grey.
    colour: tuple[str, str]
    grey: tuple[str, str] | None = None
    calibration: str

    @abstractmethod
    def calibration_text(self, frame: RenderedFrame) -> str:
        """The scene's calibration file."""

    @abstractmethod
    def write_labels(self, training: Path, name: str, frame: RenderedFrame) -> None:
        """All label files of a pair, each called `name` in its folder."""

    def limits(self, request: Request) -> Iterator[Limit]:
        yield Limit("frames", request.frames, "KITTI's file names hold at most", 100)
        yield Limit(
            "scenes", max(request.scenes, request.test_scenes), "KITTI's file names hold at most", 10**6
        )
        # The largest disparity is a fifth of the width, and the 16-bit files end at 256 px.
        yield Limit("width", request.size[1], "KITTI's 16-bit disparities allow at most", 1280)

    def write_pair(self, root: Path, request: Request, scene: int, number: int, frame: RenderedFrame) -> None:
        folder = root / "training"
        if scene >= request.scenes:
            folder, scene = root / "testing", scene - request.scenes
        else:
            self.write_labels(folder, f"{scene:06d}_{number:02d}.png", frame)
        if number == 0:
            path = place(folder / self.calibration / f"{scene:06d}.txt")
            write_atomically(path, self.calibration_text(frame).encode())
        for time, left, right in new_pictures(number, frame):
            self._write_pictures(folder, f"{scene:06d}_{time:02d}.png", left, right)

    def _write_pictures(self, folder: Path, name: str, left: Picture, right: Picture) -> None:
        for camera, picture in enumerate((left, right)):
            write_image(place(folder / self.colour[camera] / name), picture)
            if self.grey is not None:
                write_image(place(folder / self.grey[camera] / name), to_grey(picture))


def to_grey(picture: Picture) -> Picture:
    """Luma (H, W) of an RGB picture, as a grey camera beside the colour one would see it (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def projection(frame: RenderedFrame, offset: float) -> list[float]:
    """The 3x4 projection matrix, row by row, of a camera whose x coordinates are smaller by `offset` metres."""
    k = frame.intrinsics.astype(float)
    return [*k[0], k[0, 0] * offset, *k[1], 0.0, *k[2], 0.0]


def numbers(values: Iterable[float]) -> str:
    """Numbers as KITTI's calibration files print them."""
    return " ".join(f"{value:.6e}" for value in values)
