"""Slow reference implementation of KITTI's rules: loops over pixels on PNG codes, float32 scalars, no package code.

Folders are named as in the file system; a frame is a dict from folder to codes: disparity (H, W) uint16, flow (H, W, 3)
uint16 in the order u, v, valid, obj_map (H, W) uint8.
"""

import math
from pathlib import Path

import cv2
import numpy as np

Frame = dict[str, np.ndarray]
Vector = tuple[np.float32, ...]
Picture = list[list[Vector | None]]  # None where there is no value
MOTIONS = ("disp_0", "disp_1", "flow")


def truth_folder(motion: str, occlusion: str) -> str:
    return f"flow_{occlusion}" if motion == "flow" else f"disp_{occlusion}_{motion[-1]}"


def write_frame(predictions: Path, truth: Path, name: str, frame: Frame) -> None:
    """Write a frame: the folders disp_0, disp_1, flow as predictions, the others as ground truth."""
    for folder, codes in frame.items():
        path = (predictions if folder in MOTIONS else truth) / folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), codes[..., ::-1] if codes.ndim == 3 else codes)


def decode(codes: np.ndarray) -> Picture:
    picture: Picture = []
    for row in codes:
        if codes.ndim == 2:
            picture.append([(np.float32(code) / np.float32(256),) if code else None for code in row])
        else:
            picture.append([tuple(_component(c) for c in code[:2]) if code[2] else None for code in row])
    return picture


def _component(code: int) -> np.float32:
    return np.float32((int(code) - 32768) / 64)


def fill(picture: Picture) -> Picture:
    """Rows first: the smaller neighbour in each component; then the empty rows at the top and at the bottom."""
    filled = [list(row) for row in picture]
    for row, original in zip(filled, picture, strict=True):
        for column, value in enumerate(original):
            if value is None:
                left = [v for v in original[:column] if v is not None][-1:]
                right = [v for v in original[column:] if v is not None][:1]
                neighbours = left + right
                if neighbours:
                    row[column] = tuple(min(components) for components in zip(*neighbours, strict=True))
    known = [index for index, row in enumerate(filled) if row[0] is not None]
    if known:
        for index in range(len(filled)):
            if index < known[0]:
                filled[index] = filled[known[0]]
            elif index > known[-1]:
                filled[index] = filled[known[-1]]
    return filled


def length(vector: Vector) -> np.float32:
    """Rounded to single precision after every operation."""
    if len(vector) == 1:
        return abs(vector[0])
    x, y = vector
    return np.float32(math.sqrt(np.float32(np.float32(x * x) + np.float32(y * y))))


def error_of(predicted: Vector | None, truth: Vector) -> np.float32:
    if predicted is None:
        predicted = (np.float32(-1),) if len(truth) == 1 else (np.float32(0), np.float32(0))
    return length(tuple(p - t for p, t in zip(predicted, truth, strict=True)))


def is_outlier(error: np.float32, magnitude: np.float32) -> bool:
    ratio = math.inf if magnitude == 0 else float(error / magnitude)
    return float(error) > 3.0 and ratio > 0.05


def evaluate(frame: Frame) -> dict[str, dict]:
    """Metric -> {bg, fg, all: [errors, pixels, errors_submitted, pixels_submitted], "epe": mean or None}."""
    original = {motion: decode(frame[motion]) for motion in MOTIONS}
    filled = {motion: fill(picture) for motion, picture in original.items()}
    height, width = frame["disp_0"].shape
    objects = frame.get("obj_map", np.zeros((height, width), np.uint8))
    blocks: dict[str, dict] = {}
    for occlusion in ("noc", "occ"):
        truths = {motion: decode(frame[truth_folder(motion, occlusion)]) for motion in MOTIONS}
        for metric, parts in {**{motion: (motion,) for motion in MOTIONS}, "scene_flow": MOTIONS}.items():
            counts = {"bg": [0, 0, 0, 0], "fg": [0, 0, 0, 0], "all": [0, 0, 0, 0]}
            errors = []
            for row in range(height):
                for column in range(width):
                    truth = [truths[part][row][column] for part in parts]
                    if any(value is None for value in truth):
                        continue
                    error = [
                        error_of(filled[part][row][column], value)
                        for part, value in zip(parts, truth, strict=True)
                    ]
                    wrong = any(is_outlier(e, length(value)) for e, value in zip(error, truth, strict=True))
                    submitted = original[parts[0]][row][column] is not None
                    errors.append(float(error[0]))
                    for name in ("all", "fg" if objects[row, column] else "bg"):
                        counts[name][0] += wrong
                        counts[name][1] += 1
                        counts[name][2] += wrong and submitted
                        counts[name][3] += submitted
            mean = math.fsum(errors) / len(errors) if errors and metric != "scene_flow" else None
            blocks[f"{metric}_{occlusion}"] = {**counts, "epe": mean}
    return blocks
