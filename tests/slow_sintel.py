"""Slow reference implementation of Sintel's table: loops over pixels in double precision, no package code."""

import math
import struct
from pathlib import Path

import cv2
import numpy as np

DISTANCES = {"d0-10": (0, 10), "d10-60": (10, 60), "d60-140": (60, 140)}
SPEEDS = {"s0-10": (0, 10), "s10-40": (10, 40), "s40+": (40, math.inf)}


def write_flo(path: Path, flow: np.ndarray) -> None:
    """Read flow (H, W, 2) according to Middlebury's description."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = flow.shape
    path.write_bytes(b"PIEH" + struct.pack("<ii", width, height) + flow.astype("<f4").tobytes())


def write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), mask.astype(np.uint8) * 255)


def boundary_distance(occluded: np.ndarray, row: int, column: int) -> float:
    """Distance to the nearest pixel of the other kind, by exhaustive search; infinite if there is none."""
    others = np.argwhere(occluded != occluded[row, column])
    return min((math.hypot(y - row, x - column) for y, x in others.tolist()), default=math.inf)


def evaluate(
    prediction: np.ndarray, truth: np.ndarray, occluded: np.ndarray, invalid: np.ndarray
) -> dict[str, list[float]]:
    """Region -> the errors of its pixels."""
    regions = ["all", "matched", "unmatched", *DISTANCES, *SPEEDS]
    errors: dict[str, list[float]] = {region: [] for region in regions}
    for row, column in np.ndindex(*occluded.shape):
        u, v = truth[row, column].tolist()
        if invalid[row, column] or not (abs(u) <= 1e9 and abs(v) <= 1e9):
            continue
        x, y = prediction[row, column].tolist()
        inside = ["all", "unmatched" if occluded[row, column] else "matched"]
        distance, speed = boundary_distance(occluded, row, column), math.hypot(u, v)
        inside += [name for name, (low, high) in DISTANCES.items() if low <= distance < high]
        inside += [name for name, (low, high) in SPEEDS.items() if low <= speed < high]
        for region in inside:
            errors[region].append(math.hypot(x - u, y - v))
    return errors
