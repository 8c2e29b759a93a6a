"""A writer of tiny trees in KITTI 2015's layout, with distinguishable file contents."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowdistill.formats import write_image, write_kitti_disparity, write_kitti_flow

CALIBRATION = (
    "calib_time: 09-Jan-2012 13:57:47\n"
    "P_rect_02: 721.5 0 609.6 44.85728 0 721.5 172.9 0.2163791 0 0 1 0.002745884\n"
    "P_rect_03: 721.5 0 610.6 -339.5242 0 721.5 172.9 2.199936 0 0 1 0.002729905\n"
)


def frame_picture(sequence: int, frame: int, camera: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3) whose first pixel identifies the frame."""
    rng = np.random.default_rng((sequence, frame, camera))
    picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    picture[0, 0] = (sequence, frame, camera)
    return picture


def write_kitti(
    folder: Path,
    sequences: Sequence[int],
    frames: Sequence[int] = (10, 11),
    size: tuple[int, int] = (6, 9),
    cameras: Sequence[int] = (2, 3),
    labels: bool = True,
    extras: bool = True,
) -> Path:
    """Writes `<folder>/kitti` and returns it. Labels are written for the first frame of each sequence."""
    root = folder / "kitti"
    training = root / "training"
    for camera in cameras:
        (training / f"image_{camera}").mkdir(parents=True, exist_ok=True)
    for sequence in sequences:
        for frame in frames:
            for camera in cameras:
                path = training / f"image_{camera}" / f"{sequence:06d}_{frame:02d}.png"
                write_image(path, frame_picture(sequence, frame, camera, size))
        if labels:
            _write_labels(training, f"{sequence:06d}_{frames[0]:02d}", sequence, size)
        if extras:
            (training / "calib_cam_to_cam").mkdir(exist_ok=True)
            (training / "calib_cam_to_cam" / f"{sequence:06d}.txt").write_text(CALIBRATION)
            (training / "obj_map").mkdir(exist_ok=True)
            objects = np.zeros(size, dtype=np.uint8)
            objects[1, 2] = 3
            write_image(training / "obj_map" / f"{sequence:06d}_{frames[0]:02d}.png", objects)
    return root


def _write_labels(training: Path, id_: str, sequence: int, size: tuple[int, int]) -> None:
    """Flow (sequence + 0.5, -2), disparities 4 and 5; occ lacks the first pixel, noc the first row."""
    occ = np.ones(size, dtype=bool)
    occ[0, 0] = False
    noc = occ.copy()
    noc[0] = False
    flow = np.broadcast_to(np.array([sequence + 0.5, -2], np.float32), (*size, 2))
    for kind, valid in (("occ", occ), ("noc", noc)):
        for folder in (f"flow_{kind}", f"disp_{kind}_0", f"disp_{kind}_1"):
            (training / folder).mkdir(exist_ok=True)
        write_kitti_flow(training / f"flow_{kind}" / f"{id_}.png", flow, valid)
        for time, disparity in ((0, 4.0), (1, 5.0)):
            path = training / f"disp_{kind}_{time}" / f"{id_}.png"
            write_kitti_disparity(path, np.full((*size, 1), disparity, np.float32), valid)
