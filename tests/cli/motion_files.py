"""Small files of flow and disparity for the tests of `convert` and `picture`, written by OpenCV and numpy."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

FLOW = np.dstack(np.meshgrid(np.arange(-3, 4) * 1.5, np.arange(-2, 3) * 0.25)).astype(np.float32)  # (5, 7, 2)
DISPARITY = np.abs(FLOW[..., 0]) * 4 + 1  # (5, 7), 1 to 19 px


def flo(path: Path, flow: Any = FLOW) -> Path:
    """Write with OpenCV, which requires a lower-case suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name("made.flo")
    assert cv2.writeOpticalFlow(str(made), np.asarray(flow, np.float32))
    return made.rename(path)


def pfm(path: Path, disparity: Any = DISPARITY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.asarray(disparity, np.float32))
    return path


def kitti_flow(path: Path, flow: Any = FLOW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = np.rint(np.asarray(flow) * 64 + 32768).astype(np.uint16)
    assert cv2.imwrite(str(path), np.dstack([np.ones_like(codes[..., 0]), codes[..., 1], codes[..., 0]]))
    return path


def kitti_disparity(path: Path, disparity: Any = DISPARITY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.rint(np.asarray(disparity) * 256).astype(np.uint16))
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((5, 7, 3), 99, np.uint8))
    return path


def tree(folder: Path) -> set[str]:
    """The files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
