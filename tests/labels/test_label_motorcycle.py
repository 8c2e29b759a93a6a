"""A real pair with measured disparity: Middlebury's motorcycle, from scikit-image's wheel; the committed config."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import stereo_motorcycle

from flowdistill.labels.combine import make_labels
from flowdistill.labels.config import LabelConfig
from flowdistill.labels.config_file import read_config
from flowdistill.labels.opencv_teacher import OpenCVTeacher
from flowdistill.labels.report import curve, summary
from flowdistill.labels.statistics import Tally, tally

CONFIG = Path(__file__).parents[2] / "configs" / "labels" / "opencv.yaml"


@pytest.fixture(scope="module")
def motorcycle() -> tuple[dict[str, torch.Tensor], np.ndarray, np.ndarray]:
    """Images by key, disparity (H, W, 1) px, and where it was measured (H, W)."""
    left, right, disparity = stereo_motorcycle()
    images = {
        f"{side}_{time}": torch.from_numpy(image.transpose(2, 0, 1).copy()).float() / 255
        for time in ("t0", "t1")
        for side, image in (("left", left), ("right", right))
    }
    true = np.isfinite(disparity) & (disparity > 0)
    return images, np.where(true, disparity, 0)[..., None].astype(np.float32), true


@pytest.fixture(scope="module")
def counted(motorcycle: tuple[dict[str, torch.Tensor], np.ndarray, np.ndarray]) -> Tally:
    images, disparity, true = motorcycle
    config = read_config([CONFIG])
    stereo = LabelConfig(config.teachers, config.motions, config.confidence)
    stereo.motions.flow = []
    part = config.teachers["matcher"].opencv
    assert part is not None
    teacher = OpenCVTeacher(part, flow=False)
    labels = make_labels({**images, "name": "motorcycle"}, {"matcher": teacher}, stereo)
    return tally(labels.motions["disparity_t0"], disparity, true)


def test_the_filter_halves_bad_3_and_keeps_most(counted: Tally) -> None:
    found = summary(counted)
    before, after, kept = found["outliers_before"], found["outliers"], found["kept_of_compared"]
    assert before is not None
    assert after is not None
    assert kept is not None
    print(
        f"\ndensity {100 * (found['density_before'] or 0):.1f} % -> {100 * (found['density'] or 0):.1f} %, "
        f"bad-3 {100 * before:.2f} % -> {100 * after:.2f} %, kept {100 * kept:.1f} % of labels with truth"
    )
    assert 0.03 < before < 0.15  # the matcher works, and some outliers are left to filter
    assert after <= before / 2
    assert kept >= 0.6


def test_error_falls_as_confidence_rises(counted: Tally) -> None:
    points = curve(counted)
    shares = [point.share for point in points]
    assert shares == sorted(shares, reverse=True)
    at = {
        share: min(points, key=lambda point: abs(point.share - share)).outliers
        for share in (0.9, 0.8, 0.6, 0.4)
    }
    assert at[0.9] > at[0.8] > at[0.6] > at[0.4]
