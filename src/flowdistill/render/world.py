"""Worlds by name. A scene is a pure function of (world, seed, scene, aspect)."""

from __future__ import annotations

from collections.abc import Callable

from flowdistill.errors import UserError
from flowdistill.render.rooms import Rooms
from flowdistill.render.sampler import Sampler
from flowdistill.render.scene import Scene
from flowdistill.render.street import Street

Key = tuple[int, ...]
# The key of `rooms` has no third number, so that its scenes are the same as before other worlds were added.
_SAMPLERS: dict[str, tuple[Callable[[Key, float], Sampler], Key]] = {
    "rooms": (Rooms, ()),
    "street": (Street, (2,)),
}
WORLDS = tuple(_SAMPLERS)


def sample_scene(seed: int, scene: int, aspect: float, world: str = "rooms") -> Scene:
    """Sample the scene with a given number; `aspect` is height / width."""
    sampler, salt = _SAMPLERS[world]
    return sampler((seed, scene, *salt), aspect).scene()


def check_world(world: str) -> None:
    """Raise UserError for a world that does not exist."""
    if world not in _SAMPLERS:
        raise UserError(f"world is {world!r}; it must be one of {', '.join(WORLDS)}")
