"""Common properties of all geometric transforms: inputs unchanged, deterministic given the generator, complete."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdistill.data.sample import DISPARITIES, FLOWS
from flowdistill.data.transforms import (
    RandomCrop,
    RandomFlips,
    RandomScale,
    ReflectPad,
    RelativeMotion,
    Zoom,
    undo_padding,
)
from rendered_truth import flow_sample, stereo_sample


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


ALL: dict[str, tuple[Any, bool]] = {
    "scale": (RandomScale((0.7, 1.4), 1.2), True),
    "motion": (RelativeMotion(5, 5), False),
    "shift": (RelativeMotion(0, 5), True),
    "pad": (ReflectPad((120, 200)), True),
    "crop": (RandomCrop((64, 96)), True),
    "flips": (RandomFlips(), False),
    "vertical": (RandomFlips(left_right=False), True),
    "zoom": (Zoom(1.0), True),
}


@pytest.mark.parametrize("name", ALL)
def test_input_stays_and_only_the_generator_decides(name: str) -> None:
    transform, stereo = ALL[name]
    sample = stereo_sample() if stereo else flow_sample()
    kept = stereo_sample() if stereo else flow_sample()
    first, second = transform(sample, rng(5)), transform(sample, rng(5))
    others = [transform(sample, rng(seed)) for seed in range(6, 12)]
    assert set(first) == set(second)
    changed = False
    for key, value in cast(dict[str, Any], first).items():
        same = cast(dict[str, Any], second)[key]
        assert value == same if key == "name" else torch.equal(value, same), key
        if key in kept and key != "name":
            assert torch.equal(cast(Any, sample)[key], cast(Any, kept)[key]), key
            assert value.dtype == cast(Any, kept)[key].dtype, key
            if key not in ("intrinsics", "baseline", "size"):
                assert value.shape[-2:] == first["left_t0"].shape[-2:], key
                changed |= any(
                    value.shape != cast(Any, other)[key].shape
                    or not torch.equal(value, cast(Any, other)[key])
                    for other in others
                )
    assert changed == (name != "pad")


@pytest.mark.parametrize("name", ALL)
def test_no_map_is_forgotten(name: str) -> None:
    """All labels move with their image: none keeps its old values."""
    transform, stereo = ALL[name]
    before = stereo_sample() if stereo else flow_sample()
    after = transform(before, rng(2))
    moved = (
        {"left_t1", "right_t1", "flow", "teacher_flow", "flow_backward", "teacher_flow_backward"}
        if name in ("motion", "shift")
        else {*FLOWS, "left_t0", "left_t1", "foreground", *(DISPARITIES if stereo else ())}
    )
    for key in moved & set(before):
        old, new = cast(Any, before)[key], cast(Any, after)[key]
        assert old.shape != new.shape or not torch.equal(old, new), key


@settings(deadline=None, max_examples=10)
@given(size=st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_padding_is_undone(size: tuple[int, int]) -> None:
    before = stereo_sample()
    after = undo_padding(ReflectPad(size)(before, rng(0)))
    assert set(after) == set(before)
    for key, value in cast(dict[str, Any], before).items():
        same = cast(Any, after)[key]
        if key == "intrinsics":
            torch.testing.assert_close(value, same, atol=1e-4, rtol=0)
        else:
            assert value == same if key == "name" else torch.equal(value, same), key
