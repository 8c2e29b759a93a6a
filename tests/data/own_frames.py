"""Typical user images and videos, for tests of `dataset: folder`."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.formats import write_image
from flowdistill.render import render_scene

Picture = npt.NDArray[np.uint8]
SIZE = (64, 96)


def picture(number: int, size: tuple[int, int] = SIZE) -> Picture:
    """A smooth image that depends on the number."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def write_names(folder: Path, names: list[str], size: tuple[int, int] = SIZE) -> None:
    """Write images with these names; the suffix determines the format."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded, content = cv2.imencode(path.suffix.lower(), picture(number, size)[..., ::-1])
        assert encoded
        path.write_bytes(content.tobytes())


def write_video(path: Path, frames: list[Picture], codec: str = "mp4v") -> None:
    """Write a video with OpenCV, 30 frames per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 30, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def decoded_in_order(path: Path) -> list[Picture]:
    """All frames of a video as decoded by OpenCV in order, RGB."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        found, frame = capture.read()
        if not found:
            return frames
        frames.append(np.asarray(frame[..., ::-1], np.uint8))


def film(frames: int, size: tuple[int, int] = SIZE, seed: int = 3) -> list[Picture]:
    """The left camera's images of a rendered scene."""
    scene = list(render_scene(seed, 0, frames, size))
    return [*(np.asarray(frame.left_t0) for frame in scene), np.asarray(scene[-1].left_t1)][:frames]


def write_film(folder: Path, frames: list[Picture], suffix: str = ".jpg") -> None:
    """Write frames with ffmpeg's names: frame_00001.jpg."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=1):
        write_image(folder / f"frame_{number:05d}{suffix}", frame)
