"""Rendered scenes on disk, in the layout of KITTI's scene flow benchmark of 2015.

A scene of K frames becomes K frames of `training/image_2` (left) and `image_3` (right), named SSSSSS_FF.png, labels
for every frame that has a successor, and one `calib_cam_to_cam/SSSSSS.txt`. As in KITTI, the `occ` labels hold all
pixels, also those that leave the frame; `noc` those that are seen in the other pictures as well. Unlike KITTI, whose
labels belong to frame 10 alone, the truth here is dense.
Source: Menze and Geiger, Object Scene Flow, CVPR 2015, and the benchmark's development kit.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
from tqdm import tqdm

from flowdistill.data.render.sequence import Picture, RenderedFrame, check_request, render_scene
from flowdistill.data.render.summary import Summary
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically, write_image, write_kitti_disparity, write_kitti_flow

FOLDERS = (
    "image_2",
    "image_3",
    "disp_occ_0",
    "disp_noc_0",
    "disp_occ_1",
    "disp_noc_1",
    "flow_occ",
    "flow_noc",
    "obj_map",
    "calib_cam_to_cam",
)
# Disparities reach a fifth of the width, and the 16-bit files end at 256 px; names have two digits for the frame.
LARGEST_WIDTH = 1280
MOST_FRAMES = 100


@dataclass(frozen=True)
class Request:
    """What to render: `scenes` scenes of `frames` frames of `size` (height, width)."""

    seed: int
    scenes: int
    frames: int
    size: tuple[int, int]

    def __post_init__(self) -> None:
        check_request(self.seed, self.frames, self.size)
        if self.scenes < 1:
            raise UserError(f"scenes is {self.scenes}; render at least 1")
        if self.frames > MOST_FRAMES:
            raise UserError(f"frames is {self.frames}; KITTI's file names hold at most {MOST_FRAMES}")
        if self.size[1] > LARGEST_WIDTH:
            raise UserError(
                f"size is {self.size[0]}x{self.size[1]}; wider than {LARGEST_WIDTH} pixels, disparities would "
                "exceed what KITTI's 16-bit files can hold"
            )


def write_kitti2015(
    output: str | os.PathLike[str], request: Request, workers: int = 1
) -> tuple[Summary, float]:
    """Render all scenes into the folder `output`; the files do not depend on the number of worker processes.

    Returns the summary and the seconds that it took.

    Raises:
        UserError: the folder is not empty or cannot be made, or fewer than one worker.
    """
    if workers < 1:
        raise UserError(f"workers is {workers}; use at least 1 process")
    training = prepare_folders(Path(output))
    total, start = Summary.empty(), time.perf_counter()
    samples = request.scenes * (request.frames - 1)
    with tqdm(total=samples, unit="sample", desc="render") as bar:
        for summary in _summaries(training, request, min(workers, request.scenes)):
            total.add(summary)
            bar.update(summary.samples)
    return total, time.perf_counter() - start


def prepare_folders(output: Path) -> Path:
    """Make the layout's folders in a new or empty folder; returns the one called `training`."""
    try:
        if output.is_dir() and any(output.iterdir()):
            raise UserError(f"{output}: the folder is not empty; name a new one, nothing is ever overwritten")
        for name in FOLDERS:
            (output / "training" / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output}: cannot make the folder ({error.strerror or error})") from error
    return output / "training"


def _summaries(training: Path, request: Request, workers: int) -> Iterator[Summary]:
    write = partial(write_scene, training, request)
    if workers == 1:
        yield from map(write, range(request.scenes))
        return
    # Fresh processes: a fork would copy the threads' state of OpenCV and of whatever else the caller runs.
    with multiprocessing.get_context("spawn").Pool(workers, cv2.setNumThreads, (1,)) as pool:
        yield from pool.imap_unordered(write, range(request.scenes))


def write_scene(training: Path, request: Request, scene: int) -> Summary:
    """Render one scene into the existing folders of `training`."""
    summary = Summary.empty()
    for number, frame in enumerate(render_scene(request.seed, scene, request.frames, request.size)):
        write_frame(training, scene, number, frame)
        summary.count(frame)
    return summary


def write_frame(training: Path, scene: int, number: int, frame: RenderedFrame) -> None:
    """Write pair `number` of a scene: its labels and the pictures of t1; the first pair also brings those of t0."""
    if number == 0:
        write_atomically(training / f"calib_cam_to_cam/{scene:06d}.txt", calibration_text(frame).encode())
        _write_pictures(training, f"{scene:06d}_00.png", frame.left_t0, frame.right_t0)
    _write_labels(training, f"{scene:06d}_{number:02d}.png", frame)
    _write_pictures(training, f"{scene:06d}_{number + 1:02d}.png", frame.left_t1, frame.right_t1)


def _write_pictures(training: Path, name: str, left: Picture, right: Picture) -> None:
    write_image(training / "image_2" / name, left)
    write_image(training / "image_3" / name, right)


def _write_labels(training: Path, name: str, frame: RenderedFrame) -> None:
    seen_t1 = ~frame.occluded[..., 0]
    seen_right_t0, seen_right_t1 = ~frame.occluded_right_t0[..., 0], ~frame.occluded_right_t1[..., 0]
    write_kitti_disparity(training / "disp_occ_0" / name, frame.disparity_t0)
    write_kitti_disparity(training / "disp_noc_0" / name, frame.disparity_t0, seen_right_t0)
    write_kitti_disparity(training / "disp_occ_1" / name, frame.disparity_t1)
    write_kitti_disparity(training / "disp_noc_1" / name, frame.disparity_t1, seen_t1 & seen_right_t1)
    write_kitti_flow(training / "flow_occ" / name, frame.flow)
    write_kitti_flow(training / "flow_noc" / name, frame.flow, seen_t1)
    write_image(training / "obj_map" / name, frame.foreground)


def calibration_text(frame: RenderedFrame) -> str:
    """KITTI's calib_cam_to_cam file: cameras 00 and 02 are the left one, 01 and 03 the right one."""
    height, width = frame.foreground.shape[:2]
    k = frame.intrinsics.astype(float)
    identity = _numbers([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    lines = ["calib_time: 01-Jan-2000 00:00:00", f"corner_dist: {_numbers([1.0])}"]
    for number in range(4):
        offset = -frame.baseline if number % 2 else 0.0
        projection = [*k[0], k[0, 0] * offset, *k[1], 0.0, *k[2], 0.0]
        lines += [
            f"S_{number:02d}: {_numbers([width, height])}",
            f"K_{number:02d}: {_numbers([*k[0], *k[1], *k[2]])}",
            f"D_{number:02d}: {_numbers([0.0] * 5)}",
            f"R_{number:02d}: {identity}",
            f"T_{number:02d}: {_numbers([offset, 0.0, 0.0])}",
            f"S_rect_{number:02d}: {_numbers([width, height])}",
            f"R_rect_{number:02d}: {identity}",
            f"P_rect_{number:02d}: {_numbers(projection)}",
        ]
    return "\n".join(lines) + "\n"


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.6e}" for value in values)
