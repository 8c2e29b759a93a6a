"""Random small frames against loops over pixels in double precision."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import slow_sintel as slow
from flowdistill.evaluation.sintel.files import find_files
from flowdistill.evaluation.sintel.frames import by_scene, evaluate_frames, pool, sum_over
from flowdistill.evaluation.sintel.regions import REGIONS, squared_boundary_distance


class Frame(NamedTuple):
    clean: np.ndarray  # (H, W, 2)
    final: np.ndarray
    truth: np.ndarray
    occluded: np.ndarray  # (H, W)
    invalid: np.ndarray


def random_frame(rng: np.random.Generator) -> Frame:
    """Long and low, so that distances reach 140 px; speeds of exactly 10 and 40 px; unknown and infinite truth."""
    size = (int(rng.integers(1, 4)), int(rng.integers(150, 190)))
    directions = np.array(
        [(6, 8), (0, 10), (24, -32), (-40, 0), (0, 0), (5.99, 8), (24, -31.99), (3, 1), (90, 2)]
    )
    truth = directions[rng.integers(0, len(directions), size)].astype(np.float32)
    truth[rng.random(size) < 0.05] = (2e9, 2e9)
    truth[rng.random(size) < 0.05] = (np.nan, 1)
    truth[rng.random(size) < 0.05] = (0, -np.inf)
    occluded = np.zeros(size, bool)
    kind = rng.integers(0, 4)
    if kind == 0:
        occluded[:, : rng.integers(1, 30)] = True
    elif kind == 1:
        occluded[rng.integers(size[0]), rng.integers(size[1])] = True
    elif kind == 2:
        occluded = rng.random(size) < 0.2
    plain = np.where(np.isfinite(truth), truth, 0).clip(-100, 100)
    clean = (plain + rng.normal(0, 3, (*size, 2))).astype(np.float32)
    final = (plain + rng.normal(0, 30, (*size, 2))).astype(np.float32)
    return Frame(clean, final, truth, occluded, rng.random(size) < 0.1)


def write(folder: Path, frames: dict[str, Frame]) -> tuple[Path, Path]:
    predictions, truth = folder / "p", folder / "t"
    for name, frame in frames.items():
        slow.write_flo(predictions / "clean" / f"{name}.flo", frame.clean)
        slow.write_flo(predictions / "final" / f"{name}.flo", frame.final)
        slow.write_flo(truth / "flow" / f"{name}.flo", frame.truth)
        slow.write_mask(truth / "occlusions" / f"{name}.png", frame.occluded)
        slow.write_mask(truth / "invalid" / f"{name}.png", frame.invalid)
    return predictions, truth


def test_frames_scenes_and_everything(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{scene}/frame_{number:04d}" for scene in ("alley_1", "cave_2") for number in range(1, 5)]
    frames = {name: random_frame(rng) for name in names}
    files = find_files(*write(tmp_path, frames))
    assert files.notes == []
    found = evaluate_frames(files)
    assert list(found) == names
    stated: dict[str, dict[str, dict[str, list[float]]]] = {
        name: {
            pass_: slow.evaluate(getattr(frame, pass_), frame.truth, frame.occluded, frame.invalid)
            for pass_ in ("clean", "final")
        }
        for name, frame in frames.items()
    }
    groups = {
        **{name: ([name], found[name]) for name in names},
        **{
            scene: ([name for name in names if name.startswith(scene)], errors)
            for scene, errors in by_scene(found).items()
        },
        "everything": (names, pool(found.values())),
    }
    assert len(groups) == len(names) + 3
    for label, (members, errors) in groups.items():
        for pass_ in ("clean", "final"):
            assert list(errors[pass_]) == list(REGIONS)
            for region, error in errors[pass_].items():
                values = [value for name in members for value in stated[name][pass_][region]]
                assert error.pixels == len(values), (label, pass_, region)
                if values:
                    mean = math.fsum(values) / len(values)
                    assert error.mean == pytest.approx(mean, rel=2e-7, abs=2**-20)
                else:
                    assert error.mean is None
    # Every region occurs, and so does a frame without any boundary.
    assert all(error.pixels > 50 for error in groups["everything"][1]["clean"].values())
    assert any(frame.occluded.all() or not frame.occluded.any() for frame in frames.values())


@settings(deadline=None)
@given(occluded=npst.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_boundary_distance(occluded: np.ndarray) -> None:
    found = squared_boundary_distance(occluded)
    if found is None:
        assert len(np.unique(occluded)) == 1
        return
    for row, column in np.ndindex(*occluded.shape):
        assert found[row, column] == round(slow.boundary_distance(occluded, row, column) ** 2)


def test_boundary_distance_on_a_frame_of_sintels_size() -> None:
    """Exact integer squares even in a large frame, where the transform has single precision."""
    rng = np.random.default_rng(1)
    occluded = np.zeros((436, 1024), bool)
    occluded[rng.integers(0, 436, 40), rng.integers(0, 1024, 40)] = True
    points = np.argwhere(occluded)
    rows, columns = np.mgrid[:436, :1024]
    stated = np.min([(rows - y) ** 2 + (columns - x) ** 2 for y, x in points], axis=0)
    stated[occluded] = 1  # every point stands alone
    np.testing.assert_array_equal(squared_boundary_distance(occluded), stated)


@settings(deadline=None)
@given(
    steps=npst.arrays(np.int64, (50, 40), elements=st.sampled_from([0, 1, 2**51, 2**51 + 1, 2**26 - 1])),
    mask=npst.arrays(np.bool_, (50, 40)),
)
def test_sums_do_not_overflow(steps: np.ndarray, mask: np.ndarray) -> None:
    big = np.tile(steps, (4, 1))
    masks = np.tile(mask, (4, 1))
    found = sum_over(big, masks)
    assert found.steps == sum(int(step) for step in big[masks])
    assert found.pixels == int(masks.sum())
