"""The look-up against a loop over pixels that follows its docstring."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdistill.labels.sample_at import sample_at

SIZE = (5, 7)


def by_loop(
    values: np.ndarray, known: np.ndarray, motion: np.ndarray, edge: float
) -> tuple[np.ndarray, np.ndarray]:
    height, width = known.shape
    out, found = np.zeros_like(values), np.zeros_like(known)
    for row in range(height):
        for column in range(width):
            x, y = float(column + motion[row, column, 0]), float(row + motion[row, column, 1])
            if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
                continue
            left, top = int(x), int(y)
            parts = {}
            for j in (top, top + 1):
                for i in (left, left + 1):
                    weight = (1 - abs(x - i)) * (1 - abs(y - j))
                    if weight > 0:
                        parts[j, i] = weight
            near = round(y), round(x)
            at = [values[place] for place in parts]
            if all(known[place] for place in parts) and max(a[0] for a in at) - min(a[0] for a in at) <= edge:
                out[row, column] = sum(weight * values[place] for place, weight in parts.items())
                found[row, column] = True
            elif known[near]:
                out[row, column], found[row, column] = values[near], True
    return out, found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 3.0, 100.0]))
def test_sampling_is_the_loop(seed: int, edge: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 8, (*SIZE, 1)).astype(np.float32)
    known = rng.random(SIZE) < 0.8
    # Quarters without halves: integer positions occur, and the nearest pixel is always unique.
    motion = (rng.integers(-20, 20, (*SIZE, 2)) / 4).astype(np.float32)
    motion[np.abs(motion % 1 - 0.5) < 0.1] += 0.25
    sampled = sample_at(values, known, motion, edge=edge)
    expected, found = by_loop(values, known, motion, edge)
    assert np.array_equal(sampled.found, found)
    assert np.allclose(sampled.values, expected, atol=1e-5)


def test_confidence_is_the_least_of_those_that_took_part() -> None:
    values, known = np.full((1, 3, 1), 2, np.float32), np.ones((1, 3), bool)
    sure = np.array([[0.9, 0.4, 0.7]], np.float32)
    motion = np.array([[[0.25, 0], [0, 0], [-0.5, 0]]], np.float32)
    assert sample_at(values, known, motion, sure).confidence.tolist() == [[np.float32(0.4)] * 3]


def test_a_depth_edge_is_not_averaged() -> None:
    values = np.array([[[10], [50]]], np.float32)
    known = np.ones((1, 2), bool)
    motion = np.array([[[0.25, 0], [-0.25, 0]]], np.float32)
    assert sample_at(values, known, motion).values[..., 0].tolist() == [[10, 50]]
    assert sample_at(values, known, motion, edge=np.inf).values[..., 0].tolist() == [[20, 40]]


def test_far_away_finds_nothing() -> None:
    values, known = np.ones((2, 2, 1), np.float32), np.ones((2, 2), bool)
    sampled = sample_at(values, known, np.full((2, 2, 2), 1e9, np.float32))
    assert not sampled.found.any()
    assert not sampled.values.any()
