"""The official tool's scenes: all its counts, rates and densities, and the sums of its filled predictions."""

from typing import Any

import numpy as np
import pytest
from devkit_scenes import DEVKIT, SCENES, expected, official

from flowdistill.evaluation.kitti.files import MOTIONS, find_files
from flowdistill.evaluation.kitti.fill import fill_missing
from flowdistill.evaluation.kitti.images import evaluate_images
from flowdistill.evaluation.kitti.report import to_json
from flowdistill.formats import read_kitti_disparity, read_kitti_flow


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return to_json(evaluate_images(find_files(DEVKIT / "pred", DEVKIT / "gt")))


@pytest.mark.parametrize("image", ["pooled", *SCENES])
def test_every_number_of_the_official_tool(found: dict[str, Any], image: str) -> None:
    blocks = found["pooled"] if image == "pooled" else found["per_image"][image]
    truth = official()["pooled"] if image == "pooled" else official()["per_image"][image]
    assert blocks.keys() == truth.keys()
    assert len(blocks) == 8
    for metric, block in blocks.items():
        assert list(block) == ["bg", "fg", "all", "density", "epe"]
        for name in ("bg", "fg", "all", "density"):
            assert block[name] == truth[metric][name], (metric, name)
        rates = [block[name][key] for name in ("bg", "fg", "all") for key in ("rate", "rate_submitted")]
        assert [f"{number:.6f}" for number in (*rates, block["density"])] == truth[metric]["printed"]


def test_the_scenes_are_hard_enough() -> None:
    """The tool's other variants, and rules that are nearly right, give other counts."""
    for other in ("official_double_ratio", "derived_exact_arithmetic"):
        assert (
            expected()["variants"][other]["pooled"]["disp_1_occ"]["all"]
            != official()["pooled"]["disp_1_occ"]["all"]
        )
    assert expected()["interpolation"]["000002_10"]["flow"]["unfilled"] > 0


def test_the_set_of_images(found: dict[str, Any]) -> None:
    assert list(found) == ["pooled", "large_errors", "mean_of_images", "per_image"]
    assert list(found["per_image"]) == SCENES


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("scene", SCENES)
def test_filled_predictions_have_the_official_sums(scene: str, motion: str) -> None:
    read = read_kitti_flow if motion == "flow" else read_kitti_disparity
    raw, valid = read(DEVKIT / "pred" / motion / f"{scene}.png")
    before = raw.copy()
    filled, known = fill_missing(raw, valid, np.float32(-1000))
    np.testing.assert_array_equal(raw, before)
    assert filled.dtype == np.float32
    stated = expected()["interpolation"][scene][motion]
    assert np.count_nonzero(~known) == stated["unfilled"]
    assert (filled[~known] == -1000).all()
    sums = (filled[known].astype(np.float64) * (64 if motion == "flow" else 256)).sum(axis=0)
    keys = ["u_code_sum", "v_code_sum"] if motion == "flow" else ["code_sum"]
    assert sums.tolist() == [stated[key] for key in keys]
