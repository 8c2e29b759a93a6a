"""Common part of the layouts of KITTI 2012 and 2015.

As in KITTI, `occ` labels contain all pixels, including those that leave the frame; `noc` those that are also visible in
the other image. Unlike in KITTI, where only frame 10 is labelled, every frame with a successor is labelled.
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
    #: The image folders, left and right, of colour and grey images.
    colour: tuple[str, str]
    grey: tuple[str, str] | None = None
    calibration: str

    @abstractmethod
    def calibration_text(self, frame: RenderedFrame) -> str:
        """Return the text of the scene's calibration file."""

    @abstractmethod
    def write_labels(self, training: Path, name: str, frame: RenderedFrame) -> None:
        """Write all label files of a pair, each named `name` in its folder."""

    def limits(self, request: Request) -> Iterator[Limit]:
        yield Limit("frames", request.frames, "KITTI's file names hold at most", 100)
        yield Limit(
            "scenes", max(request.scenes, request.test_scenes), "KITTI's file names hold at most", 10**6
        )
        # The largest disparity is a fifth of the width, and the 16-bit format is limited to 256 px.
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
    """Return the luma (H, W) of an RGB image, as from a grey camera beside the colour camera (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def projection(frame: RenderedFrame, offset: float) -> list[float]:
    """Return the 3x4 projection matrix, row by row, of a camera that adds `offset` metres to x coordinates."""
    k = frame.intrinsics.astype(float)
    return [*k[0], k[0, 0] * offset, *k[1], 0.0, *k[2], 0.0]


def numbers(values: Iterable[float]) -> str:
    """Format numbers as in KITTI's calibration files."""
    return " ".join(f"{value:.6e}" for value in values)
