"""KITTI's calibration files."""

from pathlib import Path

import numpy as np
import pytest
from kitti_writer import CALIBRATION

from flowdistill.data.calibration import read_calibration
from flowdistill.errors import UserError


def test_intrinsics_and_baseline(tmp_path: Path) -> None:
    path = tmp_path / "000000.txt"
    path.write_text(CALIBRATION)
    calibration = read_calibration(path)
    expected = [721.5, 0, 609.6, 0, 721.5, 172.9, 0, 0, 1]
    np.testing.assert_allclose(calibration.intrinsics("left").ravel(), expected)
    assert calibration.intrinsics("right")[0, 2] == pytest.approx(610.6)
    # KITTI's colour cameras stand 0.54 m apart; 0.5327 along x after rectification.
    assert calibration.baseline == pytest.approx(0.5327, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("P_rect_02: 1 2 3\n", "`P_rect_02:`: expected 12 finite numbers.*found 3"),
        ("P_rect_03: 1\n", "has no line `P_rect_02:`"),
        (CALIBRATION.replace("609.6", "wide"), "`P_rect_02:`.*wide"),
        (CALIBRATION.replace("609.6", "nan"), "expected 12 finite numbers"),
        (CALIBRATION.replace("-339.5242", "339.5242"), "is not to the right"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "000007.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"000007\.txt.*{said}"):
        read_calibration(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"000007\.txt cannot be read"):
        read_calibration(tmp_path / "000007.txt")
