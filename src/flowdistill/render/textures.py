"""Procedural colour textures, periodic in both directions, by kind; each world has its own kinds."""

from __future__ import annotations

from typing import cast, get_args

import numpy as np

from flowdistill.render.room_textures import RoomKind, room_texture
from flowdistill.render.street_textures import StreetKind, street_texture
from flowdistill.render.texture_parts import Texture

Kind = RoomKind | StreetKind
_STREET: tuple[StreetKind, ...] = get_args(StreetKind)


def sample_texture(rng: np.random.Generator, n: int, kind: Kind) -> Texture:
    """Return a random texture (n, n, 3) of one kind; n is a power of two, 64 or more."""
    if kind in _STREET:
        return street_texture(rng, n, kind)
    return room_texture(rng, n, cast(RoomKind, kind))
