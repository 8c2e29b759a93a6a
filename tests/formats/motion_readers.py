"""Readers and writers of motions that share nothing with the package: OpenCV, numpy, and PFM by hand."""

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]


def read_anew(path: Path, quantity: str) -> tuple[Array, Array]:
    """Return values (H, W, C) and where they are known (H, W), by an independent reader."""
    suffix = path.suffix.lower()
    if suffix == ".flo":
        values = cv2.readOpticalFlow(str(path))
        return values, (np.abs(values) <= 1e9).all(axis=2)
    if suffix == ".pfm":
        values = read_pfm_by_hand(path)[..., : 2 if quantity == "flow" else 1]
        return values, np.isfinite(values).all(axis=2)
    if suffix == ".npz":
        with np.load(path) as arrays:
            return arrays[quantity].reshape(*arrays["valid"].shape, -1), arrays["valid"]
    codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float64)
    if quantity == "flow":  # OpenCV gives blue, green, red
        return (codes[..., :0:-1] - 32768) / 64, codes[..., 0] != 0
    return codes[..., None] / 256, codes != 0


def read_pfm_by_hand(path: Path) -> Array:
    kind, size, scale, data = path.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    assert float(scale) < 0
    numbers = struct.unpack(f"<{len(data) // 4}f", data)
    return np.array(numbers, np.float32).reshape(height, width, {b"PF": 3, b"Pf": 1}[kind])[::-1]


def write_anew(path: Path, quantity: str, values: Array, valid: Array) -> None:
    """Write values (H, W, C) that the format can store; unknown ones in the format's own encoding."""
    suffix = path.suffix.lower()
    mask = valid[..., None]
    if suffix == ".flo":
        assert cv2.writeOpticalFlow(str(path), np.where(mask, values, 1e10).astype(np.float32))
    elif suffix == ".pfm":
        # OpenCV also writes PFM blue first.
        stored = np.where(mask, values, np.inf).astype(np.float32)
        if quantity == "flow":
            stored = np.dstack([np.zeros_like(stored[..., 0]), stored[..., 1], stored[..., 0]])
        assert cv2.imwrite(str(path), stored)
    elif suffix == ".npz":
        stored = values if quantity == "flow" else values[..., 0]
        np.savez(path, **{quantity: stored, "valid": valid})
    elif quantity == "flow":
        codes = np.where(mask, values * 64 + 32768, 0).astype(np.uint16)
        assert cv2.imwrite(str(path), np.dstack([valid.astype(np.uint16), codes[..., 1], codes[..., 0]]))
    else:
        assert cv2.imwrite(str(path), np.where(mask, values * 256, 0).astype(np.uint16))
