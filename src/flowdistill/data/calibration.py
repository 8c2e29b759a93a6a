"""KITTI's calibration files: intrinsics and baseline of a pair of rectified cameras.

2015: `calib_cam_to_cam/SSSSSS.txt`, colour cameras `P_rect_02` and `P_rect_03`.
2012: `calib/SSSSSS.txt`, grey cameras `P0` and `P1`, colour cameras `P2` and `P3`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowdistill.data.splits import Camera
from flowdistill.errors import UserError


class SwappedCamerasError(UserError):
    """Raised for a calibration file in which the right camera is not to the right of the left one."""


@dataclass(frozen=True)
class Calibration:
    """Intrinsics (3, 3) of each rectified camera in px, and the distance between the cameras in metres."""

    left: np.ndarray
    right: np.ndarray
    baseline: float

    def intrinsics(self, camera: Camera) -> np.ndarray:
        """Return the intrinsics of one camera, float32 ``(3, 3)``, px."""
        return self.left if camera == "left" else self.right


def read_calibration(
    path: str | os.PathLike[str], left: str = "P_rect_02", right: str = "P_rect_03"
) -> Calibration:
    """Read two 3x4 projection matrices, whose last column is f times the camera's offset.

    Args:
        path: of the file, with one `NAME: numbers` per line.
        left, right: names of the two cameras' matrices.

    Raises:
        UserError: if the file or one of the two lines is missing or malformed.
        SwappedCamerasError: if the baseline is not positive.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The calibration file {path} cannot be read: {error}") from error
    values = {key.strip(): rest for key, colon, rest in (line.partition(":") for line in lines) if colon}
    p_left, p_right = (_projection(values, name, path) for name in (left, right))
    # A point at x of camera 0 projects with offset P[0,3]/f = -(position of the camera along x).
    baseline = float((p_left[0, 3] - p_right[0, 3]) / p_left[0, 0])
    if not baseline > 0:
        raise SwappedCamerasError(
            f"{path}: the right camera ({right}) is not to the right of the left one ({left}): its baseline is "
            f"{baseline:.4g} m."
        )
    return Calibration(p_left[:, :3].astype(np.float32), p_right[:, :3].astype(np.float32), baseline)


def _projection(values: dict[str, str], key: str, path: str | os.PathLike[str]) -> np.ndarray:
    if key not in values:
        raise UserError(f"{path} has no line `{key}:`; KITTI's calibration files have one.")
    try:
        numbers = [float(word) for word in values[key].split()]
    except ValueError as error:
        raise UserError(f"{path}, line `{key}:`: {error}") from error
    if len(numbers) != 12 or not np.isfinite(numbers).all() or numbers[0] <= 0:
        raise UserError(
            f"{path}, line `{key}:`: expected 12 finite numbers of a 3x4 projection matrix with a positive "
            f"focal length, found {len(numbers)}: {values[key].strip()[:80]}"
        )
    return np.array(numbers).reshape(3, 4)
