"""Random small images full of ties, holes, empty rows and odd ground truth against loops over pixels."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import slow_kitti as slow
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flowdistill.evaluation.kitti.counts import MetricCounts, vector_length
from flowdistill.evaluation.kitti.files import find_files
from flowdistill.evaluation.kitti.fill import fill_missing
from flowdistill.evaluation.kitti.images import evaluate_images, pool


def holes(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Where something is missing: scattered pixels, whole rows at the ends and inside, columns, or everything."""
    missing = rng.random(size) < rng.choice([0, 0.3, 0.8])
    for axis in (0, 1):
        if rng.random() < 0.5:
            lines = rng.random(size[axis]) < rng.choice([0.3, 0.7])
            missing |= lines[:, None] if axis == 0 else lines
    if rng.random() < 0.3:
        missing[: rng.integers(size[0])] = True
    if rng.random() < 0.3:
        missing[rng.integers(size[0]) :] = True
    return missing | (rng.random() < 0.05)


def disparity_pair(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Codes of truth and prediction: errors of 3 px, of 5 % of the truth, one code more or less, or anything."""
    twentieth = rng.integers(1, 3000, size)
    truth = np.where(rng.random(size) < 0.2, rng.integers(1, 65536, size), 20 * twentieth)
    error = np.choose(
        rng.integers(0, 4, size),
        [np.full(size, 768), twentieth, np.zeros(size, int), rng.integers(0, 9000, size)],
    )
    error = (error + rng.integers(-1, 2, size)) * rng.choice([-1, 1], size)
    return truth.astype(np.uint16), np.clip(truth + error, 1, 65535).astype(np.uint16)


def flow_pair(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Likewise, in both components. The third channel is validity."""
    # The first ones have exact lengths; those of the last are rounded, so that an exact 5 % can fall on either side.
    directions = [(3, 4), (-4, 3), (5, -12), (0, 1), (-1, 0), (0, 0), (1, 1), (-2, 3), (7, -1), (5, 6)]
    x, y = np.array(directions)[rng.integers(0, len(directions), size)].transpose(2, 0, 1)
    scale = rng.integers(0, 60, size)
    odd = rng.random(size) < 0.2
    truth = np.stack([np.where(odd, rng.integers(-9000, 9000, size), 20 * scale * part) for part in (x, y)])
    error = np.stack(
        [
            np.choose(
                rng.integers(0, 4, size),
                [np.full(size, 192), scale * part, 0 * part, rng.integers(-900, 900, size)],
            )
            for part in (x, y)
        ]
    )
    # Often the same kind of error in both components, so that the tie holds for the vector.
    error = np.where(rng.random(size) < 0.5, np.stack([scale * x, scale * y]), error)
    error = error + rng.integers(-1, 2, (2, *size)) * (rng.random(size) < 0.5)
    codes = []
    for vector in (truth, truth + error):
        valid = rng.choice([1, 1, 7, 65535], size)  # any number but 0
        codes.append(np.stack([*np.clip(vector + 32768, 0, 65535), valid], axis=2).astype(np.uint16))
    return codes[0], codes[1]


def random_frame(rng: np.random.Generator, size: tuple[int, int], odd_noc: bool) -> slow.Frame:
    frame: slow.Frame = {}
    for motion in slow.MOTIONS:
        truth, prediction = (flow_pair if motion == "flow" else disparity_pair)(rng, size)
        missing = holes(rng, size)
        # Values of pixels with an invalid blue channel are garbage and must not be read.
        prediction[missing] = [*rng.integers(0, 65536, 2), 0] if motion == "flow" else 0
        frame[motion] = prediction
        unknown = rng.random(size) < rng.choice([0, 0.3])
        for occlusion in ("occ", "noc"):
            codes = truth.copy()
            if occlusion == "noc":
                unknown = (rng.random(size) < 0.3) | (unknown & (not odd_noc))
                if odd_noc:  # pixels and values of its own: the tool does not ask whether both truths agree
                    codes = (flow_pair if motion == "flow" else disparity_pair)(rng, size)[0]
            codes[unknown] = 0
            frame[slow.truth_folder(motion, occlusion)] = codes
    frame["obj_map"] = rng.choice([0, 0, 1, 254, 255], size).astype(np.uint8)
    return frame


def listed(counts: MetricCounts) -> dict[str, list[int]]:
    classes = {"bg": counts.background, "fg": counts.foreground, "all": counts.all}
    return {k: [c.errors, c.pixels, c.errors_submitted, c.pixels_submitted] for k, c in classes.items()}


@settings(deadline=None, max_examples=200)  # other work may hold the processor
@given(seed=st.integers(0, 2**32), height=st.integers(1, 7), width=st.integers(1, 9), odd_noc=st.booleans())
def test_all_counts_of_random_frames(seed: int, height: int, width: int, odd_noc: bool) -> None:
    rng = np.random.default_rng(seed)
    frames = {f"{index:06d}_10": random_frame(rng, (height + index, width), odd_noc) for index in range(2)}
    with tempfile.TemporaryDirectory() as folder:
        predictions, truth = Path(folder) / "p", Path(folder) / "t"
        for name, frame in frames.items():
            slow.write_frame(predictions, truth, name, frame)
        images = evaluate_images(find_files(predictions, truth))
    stated = {name: slow.evaluate(frame) for name, frame in frames.items()}
    assert list(images) == list(frames)
    for name, metrics in images.items():
        assert metrics.keys() == stated[name].keys()
        for metric, counts in metrics.items():
            classes = {key: stated[name][metric][key] for key in ("bg", "fg", "all")}
            assert listed(counts) == classes, (name, metric)
            mean = stated[name][metric]["epe"]
            assert counts.end_point_error == (mean if mean is None else pytest.approx(mean, abs=2**-21))
    for metric, counts in pool(images).items():
        both = [np.array(stated[name][metric]["all"]) for name in frames]
        assert listed(counts)["all"] == sum(both).tolist()


def test_the_random_frames_reach_the_rules() -> None:
    """Exact ties on both sides of the rule, empty predictions, unfilled rows: all occur among the generated frames."""
    seen = {"3 px": 0, "5 % outlier": 0, "5 % inlier": 0, "unfilled": 0, "empty": 0, "filled": 0}
    for seed in range(60):
        frame = random_frame(np.random.default_rng(seed), (6, 8), False)
        for motion in slow.MOTIONS:
            picture = slow.decode(frame[motion])
            filled = slow.fill(picture)
            truth = slow.decode(frame[slow.truth_folder(motion, "occ")])
            known = [value is not None for row in filled for value in row]
            seen["empty"] += not any(known)
            seen["unfilled"] += any(known) and not all(known)
            seen["filled"] += sum(known) > sum(value is not None for row in picture for value in row)
            for row, truth_row in zip(filled, truth, strict=True):
                for predicted, vector in zip(row, truth_row, strict=True):
                    if vector is None:
                        continue
                    error, magnitude = slow.error_of(predicted, vector), slow.length(vector)
                    seen["3 px"] += error == 3
                    if error > 3 and magnitude > 0 and abs(float(error) / float(magnitude) - 0.05) < 1e-8:
                        seen["5 % outlier" if slow.is_outlier(error, magnitude) else "5 % inlier"] += 1
    assert min(seen.values()) > 0, seen


@settings(deadline=None)
@given(data=st.data(), height=st.integers(1, 7), width=st.integers(1, 8), channels=st.integers(1, 2))
def test_filling(data: st.DataObject, height: int, width: int, channels: int) -> None:
    motion = data.draw(
        npst.arrays(np.float32, (height, width, channels), elements=st.integers(-9, 9).map(np.float32))
    )
    valid = data.draw(npst.arrays(np.bool_, (height, width), fill=st.booleans()))
    picture = [
        [tuple(motion[row, column]) if valid[row, column] else None for column in range(width)]
        for row in range(height)
    ]
    stated = slow.fill(picture)
    before = motion.copy()
    filled, known = fill_missing(motion, valid, -77)
    np.testing.assert_array_equal(motion, before)
    for row in range(height):
        for column in range(width):
            value = stated[row][column]
            assert known[row, column] == (value is not None)
            assert filled[row, column].tolist() == ([-77.0] * channels if value is None else list(value))


@settings(deadline=None)
@given(codes=npst.arrays(np.int32, (5, 40, 2), elements=st.integers(-65535, 65535)))
def test_lengths_are_rounded_step_by_step_in_single_precision(codes: np.ndarray) -> None:
    """All differences of two flows in the files; numpy's float32 root against a correctly rounded double one."""
    motion = (codes / 64).astype(np.float32)
    stated = [[slow.length(tuple(vector)) for vector in row] for row in motion]
    np.testing.assert_array_equal(vector_length(motion), np.array(stated))
    np.testing.assert_array_equal(vector_length(motion[..., :1]), np.abs(motion[..., 0]))
