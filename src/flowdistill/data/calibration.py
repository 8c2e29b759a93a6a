"""KITTI's calibration files `calib_cam_to_cam/SSSSSS.txt`: intrinsics and baseline of the colour cameras."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowdistill.data.splits import Camera
from flowdistill.errors import UserError

_MATRIX = {"left": "P_rect_02", "right": "P_rect_03"}


@dataclass(frozen=True)
class Calibration:
    """Intrinsics (3, 3) of each rectified colour camera in px, and the distance between the two in metres."""

    left: np.ndarray
    right: np.ndarray
    baseline: float

    def intrinsics(self, camera: Camera) -> np.ndarray:
        """float32 ``(3, 3)`` of one camera, px."""
        return self.left if camera == "left" else self.right


def read_calibration(path: Path) -> Calibration:
    """Read `P_rect_02` and `P_rect_03`, 3x4 projection matrices whose last column is f times the camera's
    offset.

    Raises:
        UserError: if the file or one of the two lines is missing or malformed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The calibration file {path} cannot be read: {error}") from error
    values = {key.strip(): rest for key, colon, rest in (line.partition(":") for line in lines) if colon}
    left, right = (_projection(values, _MATRIX[camera], path) for camera in ("left", "right"))
    # A point at x of camera 0 projects with offset P[0,3]/f = -(position of the camera along x).
    baseline = float((left[0, 3] - right[0, 3]) / left[0, 0])
    if not baseline > 0:
        raise UserError(
            f"{path}: the right camera (P_rect_03) does not lie to the right of the left one (P_rect_02)."
        )
    return Calibration(left[:, :3].astype(np.float32), right[:, :3].astype(np.float32), baseline)


def _projection(values: dict[str, str], key: str, path: Path) -> np.ndarray:
    if key not in values:
        raise UserError(f"{path} has no line `{key}:`; a calib_cam_to_cam file of KITTI 2015 has one.")
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
