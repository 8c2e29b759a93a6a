"""Checking and combining estimates, with teachers that give the rendered ground truth or known errors."""

from typing import Any

import numpy as np
import pytest
import torch
from label_teachers import SIZE, Says, frames, sample, truth

from flowdistill.errors import UserError
from flowdistill.labels.combine import SampleLabels, make_labels
from flowdistill.labels.config import (
    Checks,
    Confidence,
    Consistency,
    LabelConfig,
    Motions,
    OpenCVPart,
    Photometric,
    TeacherPart,
    Uniqueness,
)
from flowdistill.labels.estimate import Estimate, estimate
from flowdistill.labels.statistics import tally
from flowdistill.labels.uniqueness import stereo_ratio
from flowdistill.losses import occlusion_masks

THERE_AND_BACK = Checks(consistency=Consistency(0.7, 0.05))


def labels(
    teachers: dict[str, Says], flow: Checks | None = None, disparity: Checks | None = None, **motions: Any
) -> SampleLabels:
    """Labels of the rendered sample; every teacher provides all motions unless `motions` is given."""
    asked = Motions(**({"flow": list(teachers), "disparity": list(teachers)} | motions))
    parts = {name: TeacherPart(opencv=OpenCVPart()) for name in {*asked.flow, *asked.disparity}}
    config = LabelConfig(parts, asked, Confidence(disparity or Checks(), flow or Checks()))
    return make_labels(sample(), teachers, config)


def shifted(found: Estimate, by: float) -> Estimate:
    return estimate(found.values + np.float32(by))


def test_disparity_at_t1_is_the_truth_where_the_flow_is_seen() -> None:
    """Stereo of the next frame along the flow, against the renderer's own disparity_t1."""
    frame = frames()[0]
    made = labels({"truth": Says(**truth())}, flow=THERE_AND_BACK).motions
    label = made["disparity_t1"]
    seen = ~frame.occluded[..., 0]
    assert not (label.keep & ~made["flow"].keep).any()
    error = np.abs(label.values - frame.disparity_t1)[..., 0]
    assert (label.keep & seen).sum() > 0.9 * seen.sum()
    assert np.mean(error[label.keep] > 0.25) < 0.005
    # Points outside the image cannot be looked up.
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    target_x, target_y = x + frame.flow[..., 0], y + frame.flow[..., 1]
    outside = (
        (target_x < -0.01) | (target_x > SIZE[1] - 0.99) | (target_y < -0.01) | (target_y > SIZE[0] - 0.99)
    )
    assert outside.any()
    assert not label.keep[outside].any()


def test_disparity_at_t1_is_invalid_where_the_flow_is() -> None:
    said = truth()
    hole = np.zeros(SIZE, bool)
    hole[20:60, 30:90] = True
    said["flow"] = estimate(said["flow"].values, ~hole)
    made = labels({"truth": Says(**said)})
    assert not made.motions["disparity_t1"].keep[hole].any()
    assert made.motions["disparity_t1"].keep.any()
    assert made.occluded["occluded"][hole].all()


def test_occlusion_is_ddflows_check_and_finds_the_rendered_one() -> None:
    frame = frames()[0]
    made = labels({"truth": Says(**truth())})
    found = made.occluded["occluded"]
    true = frame.occluded[..., 0]
    assert np.mean(found == true) > 0.95
    assert (found & true).sum() > 0.7 * true.sum()
    batch = [
        torch.from_numpy(flow.transpose(2, 0, 1).copy())[None] for flow in (frame.flow, frame.flow_backward)
    ]
    ddflow = occlusion_masks(*batch)[0][0, 0].numpy()
    assert not (ddflow & ~found).any()


@pytest.mark.parametrize("motion", ["flow", "disparity"])
def test_rejected_pixels_are_invalid_and_keep_is_the_tolerance(motion: str) -> None:
    """A patch with an error of 2 px on one side only: rejected at a tolerance of 1 px, kept at 3 px."""
    said = truth()
    if motion == "disparity":
        flat = np.full((*SIZE, 1), 8, np.float32)
        said["disparity_t0"] = said["disparity_right_t0"] = estimate(flat)
        said["disparity_next"] = said["disparity_right_next"] = estimate(flat)
        key = "disparity_t0"
    else:
        still = np.zeros((*SIZE, 2), np.float32)
        said["flow"] = said["flow_backward"] = estimate(still)
        key = "flow"
    wrong = said[key].values.copy()
    wrong[30:50, 60:90, 0] += 2
    said[key] = estimate(wrong)
    for tolerance, expected in ((1.0, False), (3.0, True)):
        checks = Checks(consistency=Consistency(tolerance))
        label = labels({"one": Says(**said)}, **{motion: checks}).motions[key]
        assert label.keep[32:48, 62:88].all() == expected
        assert label.keep[32:48, 62:88].any() == expected
        assert label.keep[60:90, 60:90].all()
    # Confidence at the tolerance: t^2 / (t^2 + e^2).
    at = labels({"one": Says(**said)}, **{motion: Checks(consistency=Consistency(2.0))}).motions[key]
    assert np.allclose(at.confidence[35:45, 65:85], 0.5)


def test_photometric_error_and_uniqueness_tell_right_from_wrong() -> None:
    """At textured, non-occluded pixels the true flow is kept, and the same flow 4 px off is rejected."""
    frame = frames()[0]
    seen = ~frame.occluded[..., 0]
    for checks in (Checks(photometric=Photometric(8.0, 5)), Checks(uniqueness=Uniqueness(0.9, 5, 3.0))):
        said = truth()
        right = labels({"t": Says(**said)}, flow=checks).motions["flow"].keep
        wrong = (
            labels({"t": Says(**said | {"flow": shifted(said["flow"], 4)})}, flow=checks).motions["flow"].keep
        )
        assert right[seen].mean() > 0.75
        assert wrong[seen].mean() < 0.6 * right[seen].mean()


def test_a_repeated_pattern_is_not_unique() -> None:
    """Stripes of 8 px match at every 8 px of disparity; noise matches once."""
    rng = np.random.default_rng(0)
    x = np.arange(96, dtype=np.float32)
    stripes = np.repeat((128 + 60 * np.sin(x * 2 * np.pi / 8))[None], 32, axis=0).astype(np.float32)
    noise = rng.uniform(0, 255, (32, 96)).astype(np.float32)
    eight = np.full((32, 96, 1), 8, np.float32)
    for pattern, low, high in ((stripes, 0.9, 1.1), (noise, 0, 0.2)):
        left, right = pattern, np.roll(pattern, -8, axis=1)
        ratio = stereo_ratio(left, right, eight, 32, 5, 1.5)[4:-4, 40:-8]
        assert low <= ratio.min()
        assert ratio.max() <= high


def test_the_most_confident_teacher_wins_each_pixel() -> None:
    """One is correct on the left half, the other on the right; the fused flow is correct everywhere, and disparity is
    from a third."""
    said = truth()
    half = np.zeros((*SIZE, 1), bool)
    half[:, : SIZE[1] // 2] = True
    off = [estimate(said["flow"].values + np.float32(5) * (half == side)) for side in (True, False)]
    checks = Checks(consistency=Consistency(1.0))
    made = from_three(off, said, checks)
    frame = frames()[0]
    label = made.motions["flow"]
    alone = from_three(off[:1] * 2, said, checks).motions["flow"]
    right = np.linalg.norm(label.values - frame.flow, axis=2) < 1e-3
    assert right[label.keep].mean() > 0.99
    assert label.keep.sum() > 1.6 * alone.keep.sum()
    assert np.array_equal(made.motions["disparity_t0"].values, frame.disparity_t0)


def from_three(off: list[Estimate], said: dict[str, Estimate], checks: Checks) -> SampleLabels:
    """Flow of two teachers, disparity of a third."""
    backward = said["flow_backward"]
    stereo = Says(disparity_t0=said["disparity_t0"], disparity_next=said["disparity_next"])
    flows = [Says(flow=flow, flow_backward=backward) for flow in off]
    config = LabelConfig(
        {name: TeacherPart(opencv=OpenCVPart()) for name in ("first", "second", "stereo")},
        Motions(flow=["first", "second"], disparity=["stereo"]),
        Confidence(Checks(), checks),
    )
    return make_labels(sample(), {"first": flows[0], "second": flows[1], "stereo": stereo}, config)


def test_a_check_without_its_counterpart_is_an_error() -> None:
    said = truth()
    with pytest.raises(UserError, match=r"teachers.one gives disparity_t0, but no disparity_right_t0 .*null"):
        labels({"one": Says(**said)}, disparity=THERE_AND_BACK)
    del said["flow_backward"]
    with pytest.raises(UserError, match="but gives no flow_backward"):
        labels({"one": Says(**said)})
    made = labels({"one": Says(**said)}, backward=False)
    assert set(made.motions) == {"flow", "disparity_t0", "disparity_t1"}
    assert not made.occluded


def test_estimates_of_another_size_are_an_error() -> None:
    said = truth() | {"flow": estimate(np.zeros((4, 5, 2)))}
    with pytest.raises(UserError, match=r"gives flow of 4x5 px, but the images have 96x160"):
        labels({"one": Says(**said)})


def test_values_beyond_16_bits_are_counted_and_not_kept() -> None:
    said = truth()
    values = said["flow"].values.copy()
    values[0, :10] = 600
    label = labels({"one": Says(**said | {"flow": estimate(values)})}).motions["flow"]
    counted = tally(label)
    assert (counted.lost, counted.kept) == (10, SIZE[0] * SIZE[1] - 10)


def test_direct_disparity_at_t1_is_checked_by_the_images() -> None:
    frame = frames()[0]
    seen = ~frame.occluded[..., 0] & ~frame.occluded_right_t1[..., 0]
    checks = Checks(photometric=Photometric(8.0, 5))
    kept = []
    for by in (0, 4):
        own = shifted(estimate(frame.disparity_t1), by)
        said = truth() | {"disparity_t1": own}
        label = labels({"one": Says(**said)}, disparity=checks, disparity_t1="direct").motions["disparity_t1"]
        assert np.array_equal(label.values[label.known], own.values[label.known])
        kept.append(label.keep[seen].mean())
    assert kept[0] > 0.75
    assert kept[1] < 0.7 * kept[0]
    others = Checks(spread=1.0)
    with pytest.raises(UserError, match=r"needs confidence\.disparity\.photometric"):
        labels({"one": Says(**said)}, disparity=others, disparity_t1="direct")
    # Without any check, all of it is kept.
    unchecked = labels({"one": Says(**said)}, disparity=Checks(), disparity_t1="direct").motions[
        "disparity_t1"
    ]
    assert np.array_equal(unchecked.keep, unchecked.known)
