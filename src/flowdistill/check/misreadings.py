"""What a label might have been meant to say: its plausible misreadings, each as a motion between two pictures.

flow  # (H, W, 2) px     disparity  # (H, W) px, positive     valid  # (H, W) bool
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flowdistill.check.votes import (
    MARGIN,
    MARGIN_OF_OTHER_PICTURES,
    Mask,
    Pair,
    Points,
    Votes,
    apart,
    count_unexplained,
    count_votes,
    sample_points,
)
from flowdistill.formats.encodings import DISPARITY_FACTORS

Array = npt.NDArray[np.float32]
Neighbours = Sequence[tuple[Array, Mask]]

_POINTS = 600  # pixels of a label that are looked at for each misreading
_REPEATED = 0.98  # share of equal pixels from which two halves are the same
_COLUMNS = 128  # of a label, that are enough to see it
_LEAST_SPREAD = 0.25  # px (standard deviation) by which a label must vary for its halves to be told apart


Motion = Callable[[Points], Array]
"""Pixels (N,) -> their motion (N, 2) px. Only the pixels that are looked at are ever computed."""


@dataclass(frozen=True)
class Reading:
    """One way to read a label.

    Attributes:
        name: what was misread: "upside down".
        motion: from `pair.start` to `pair.end`.
        valid: (H, W) where it is known.
        pair: the pictures.
    """

    name: str
    motion: Motion
    valid: Mask
    pair: Pair


STORED = "as stored"
SWAPPED_CAMERAS = "left and right camera swapped"
UNEXPLAINED = "of other pictures"
"""Not a reading: what the label leads to looks different, as where the next picture is of another scene."""


def vote(stored: Reading, others: Iterable[Reading]) -> dict[str, Votes]:
    """Name of a misreading -> the pixels that speak for it and against it."""
    votes: dict[str, Votes] = {}
    everywhere = sample_points([stored.valid], _POINTS)
    as_stored = stored.pair.difference(everywhere, stored.motion(everywhere))
    votes[UNEXPLAINED] = count_unexplained(as_stored)
    for other in others:
        points, difference = everywhere, as_stored
        if other.valid is not stored.valid:
            points = sample_points([stored.valid, other.valid], _POINTS)
            difference = stored.pair.difference(points, stored.motion(points))
        motion = other.motion(points)
        # Other pictures differ in noise and exposure, too, so that they must speak more clearly.
        same_pictures = other.pair is stored.pair
        telling = apart(stored.motion(points), motion) if same_pictures else np.ones(points.size, bool)
        if not telling.any():
            continue
        margin = MARGIN if same_pictures else MARGIN_OF_OTHER_PICTURES
        found = count_votes(difference, other.pair.difference(points, motion), telling, margin)
        if found.total and (other.name not in votes or found.share > votes[other.name].share):
            votes[other.name] = found
    return votes


def read_flow(flow: Array) -> Motion:
    """The motion of a flow (H, W, 2)."""
    return lambda points: _at(flow, points)


def read_disparity(disparity: Array, flow: Array | None = None, factor: float = 1) -> Motion:
    """The motion from left to right picture of a disparity (H, W) times a factor; after a flow, if given."""

    def motion(points: Points) -> Array:
        moved = np.zeros((points.size, 2), np.float32) if flow is None else _at(flow, points)
        moved[:, 0] -= _at(disparity, points) * np.float32(factor)
        return moved

    return motion


def flow_misreadings(
    stored: Reading, flow: Array, other_camera: Pair | None, neighbours: Neighbours
) -> Iterator[Reading]:
    """Of a flow.

    Args:
        stored: the label as it stands.
        flow: the label.
        other_camera: the other camera's pictures of the same two moments.
        neighbours: labels of the samples before and after, and where they are valid.
    """
    for name, signs in (("negated", (-1, -1)), ("x negated", (-1, 1)), ("y negated", (1, -1))):
        yield replace(stored, name=name, motion=_times(read_flow(flow), signs))
    yield replace(stored, name="x and y swapped", motion=read_flow(flow[..., ::-1]))
    for name, turned, signs in (
        ("upside down", lambda values: values[::-1], (1, -1)),
        ("mirrored", lambda values: values[:, ::-1], (-1, 1)),
    ):
        motion, valid = read_flow(turned(flow)), turned(stored.valid)
        # The file alone was turned, or the pictures were and the label, with its values, was not.
        yield replace(stored, name=name, motion=motion, valid=valid)
        yield replace(stored, name=name, motion=_times(motion, signs), valid=valid)
    if other_camera is not None:
        yield replace(stored, name="of the other camera", pair=other_camera)
    for values, valid in neighbours:
        if values.shape == flow.shape:
            yield replace(stored, name="of a neighbouring frame", motion=read_flow(values), valid=valid)


def disparity_misreadings(
    stored: Reading, disparity: Array, reverse: Pair, neighbours: Neighbours, factors: bool
) -> Iterator[Reading]:
    """Of a disparity at t0.

    Args:
        stored: the label as it stands.
        disparity: the label.
        reverse: right and left picture of t0.
        neighbours: labels of the samples before and after, and where they are valid.
        factors: whether the file might be stored with another factor than 256.
    """
    to_left = read_disparity(disparity, factor=-1)
    yield replace(stored, name="of the other camera", motion=to_left, pair=reverse)
    yield replace(stored, name=SWAPPED_CAMERAS, pair=reverse)
    yield replace(stored, name="negated", motion=to_left)
    yield from _common(stored, disparity, None, neighbours, factors)


def later_disparity_misreadings(
    stored: Reading,
    disparity: Array,
    flow: Array,
    as_absolute: Array | None,
    neighbours: Neighbours,
    factors: bool,
) -> Iterator[Reading]:
    """Of a disparity at t1 on the grid of t0.

    Args:
        stored: the label and the flow as a motion from left_t0 to right_t1.
        disparity, flow: what it is made of.
        as_absolute: of a file that holds a change: its values, positive, as disparities of their own.
        neighbours: labels of the samples before and after, and where they are valid.
        factors: whether the file might be stored with another factor than 256.
    """
    if as_absolute is not None:
        yield replace(stored, name="absolute, not a change", motion=read_disparity(as_absolute, flow))
    yield from _common(stored, disparity, flow, neighbours, factors)


def upper_half_repeated(values: Array, valid: Mask) -> bool:
    """Whether the lower half of a label (H, W, C) is its upper half once more."""
    height, width = valid.shape
    half, step = height // 2, max(width // _COLUMNS, 1)
    values, valid = values[:, ::step], valid[:, ::step]
    for start in dict.fromkeys((half, height - half)):
        upper, lower = values[:half], values[start : start + half]
        both = valid[:half] & valid[start : start + half]
        either = np.count_nonzero(valid[:half] | valid[start : start + half])
        if not either or np.count_nonzero(both) < _REPEATED * either:
            continue
        close = (np.abs(upper - lower) < 0.05).all(axis=2) & both  # px: the same value in any format
        if (
            np.count_nonzero(close) >= _REPEATED * either
            and values[:half][both].std(axis=0).max() > _LEAST_SPREAD
        ):
            return True
    return False


def _common(
    stored: Reading, disparity: Array, flow: Array | None, neighbours: Neighbours, factors: bool
) -> Iterator[Reading]:
    """What any disparity may be misread as."""
    turned = (
        ("upside down", disparity[::-1], stored.valid[::-1]),
        ("mirrored", disparity[:, ::-1], stored.valid[:, ::-1]),
    )
    moved = (("of a neighbouring frame", values, valid) for values, valid in neighbours)
    for name, values, valid in (*turned, *moved):
        if values.shape == disparity.shape:
            yield replace(stored, name=name, motion=read_disparity(values, flow), valid=valid)
    if factors:
        yield from other_factors(stored, disparity, flow)


def other_factors(stored: Reading, disparity: Array, flow: Array | None = None) -> Iterator[Reading]:
    """A disparity that was stored with another factor than 256; after a flow, if it is that at t1."""
    for factor in DISPARITY_FACTORS:
        name = f"stored with the factor {factor:g} in place of 256"
        yield replace(stored, name=name, motion=read_disparity(disparity, flow, 256 / factor))


def _times(motion: Motion, signs: tuple[int, int]) -> Motion:
    return lambda points: motion(points) * np.array(signs, np.float32)


def _at(values: Array, points: Points) -> Array:
    """(N, ...) of an array (H, W, ...)."""
    y, x = np.divmod(points, values.shape[1])
    return values[y, x]
