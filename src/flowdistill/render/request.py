"""Specification of a data set to render, and of its held-out scenes."""

from __future__ import annotations

from dataclasses import dataclass

from flowdistill.errors import UserError
from flowdistill.render.sequence import check_request

_HELD_OUT_SHARE = 8


@dataclass(frozen=True)
class Request:
    """`scenes` scenes with labels, then `test_scenes` without, each of `frames` frames of `size` (height, width).

    The frames are every `stride`-th time step of a scene of `world` (a key of `render.world.WORLDS`).

    Scenes are numbered from 0, the unlabelled ones last.

    Raises:
        UserError: from the constructor, for a request that cannot be rendered.
    """

    seed: int
    scenes: int
    frames: int
    size: tuple[int, int]
    test_scenes: int = 0
    stride: int = 1
    world: str = "rooms"

    def __post_init__(self) -> None:
        check_request(self.seed, self.frames, self.size, self.stride, self.world)
        if self.scenes < 1:
            raise UserError(f"scenes is {self.scenes}; render at least 1")
        if self.test_scenes < 0:
            raise UserError(f"test scenes is {self.test_scenes}; it must be 0 or more")

    @property
    def all_scenes(self) -> int:
        """Scenes with and without labels."""
        return self.scenes + self.test_scenes

    @property
    def pairs(self) -> int:
        """Pairs of successive frames per scene."""
        return self.frames - 1

    @property
    def first_held_out(self) -> int:
        """First labelled scene for validation, in layouts that define a validation part.

        The last eighth is held out, rounded down but at least one; a single scene is for training.
        """
        held_out = max(self.scenes // _HELD_OUT_SHARE, 1) if self.scenes > 1 else 0
        return self.scenes - held_out
