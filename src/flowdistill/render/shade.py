"""Shading: anti-aliased colours of the surfaces hit by the rays.

For a pixel with a single surface, the colour is the mip-mapped texture at its footprint, averaged over four taps along
the footprint's longer side for slanted surfaces. Where surfaces meet in a pixel's neighbourhood, and along the outlines
of thin bodies, it is the mean of 4x4 rays with individual footprints.

Legend: N samples; an image is uint8 (H, W, 3) RGB.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flowdistill.render.atlas import Atlas, Samples
from flowdistill.render.raster import Surfaces, Values, cast_points
from flowdistill.render.view import QuadricInView, View

SIDE = 4  # rays along each side of an edge pixel
TAPS = 4
SLANTED = 1.5  # ratio of the footprint's sides above which taps are used
CHUNK = 32768  # samples that fit into the cache
# Pixels integrate over slightly more than their own area, like a lens and sensor; with a plain box, aliasing would be
# too strong to reproduce another view by interpolation between pixels.
SPREAD = 1.5


def render(view: View, atlas: Atlas, q: Values, surface: Surfaces) -> NDArray[np.uint8]:
    """Render the image (H, W, 3) from the grid's inverse depths and surfaces, as returned by `cast_grid`."""
    height, width = surface.shape
    edges = _edge_pixels(view, surface)
    tables = _Tables(view, atlas)
    picture = np.empty((height * width, 3), np.uint8)
    inner = np.flatnonzero(~edges)
    outer = np.flatnonzero(edges)
    depth, number = q.reshape(-1), surface.reshape(-1)
    for start in range(0, inner.size, CHUNK):
        pixels = inner[start : start + CHUNK]
        y, x = np.divmod(pixels.astype(np.int32), np.int32(width))
        colours = tables.colours(
            number.take(pixels), depth.take(pixels), x.astype(np.float32), y.astype(np.float32)
        )
        picture[pixels] = _to_bytes(colours)
    steps = np.array(_spread(SIDE, SPREAD), np.float32)
    for start in range(0, outer.size, CHUNK // SIDE**2):
        pixels = outer[start : start + CHUNK // SIDE**2]
        row, column = np.divmod(pixels.astype(np.int32), np.int32(width))
        shape = (pixels.size, SIDE, SIDE)
        x = np.broadcast_to(column.astype(np.float32)[:, None, None] + steps[None, None, :], shape).ravel()
        y = np.broadcast_to(row.astype(np.float32)[:, None, None] + steps[None, :, None], shape).ravel()
        depths, seen = cast_points(view, x, y)
        colours = tables.colours(seen, depths, x, y, footprint=1 / SIDE)
        # The mean of each row of sixteen samples, several times faster than with numpy.
        rows = colours.reshape(-1, SIDE**2, 4)
        means = cv2.resize(rows, (1, pixels.size), interpolation=cv2.INTER_AREA)
        picture[pixels] = _to_bytes(np.asarray(means, np.float32).reshape(-1, 4))
    return picture.reshape(height, width, 3)


def _to_bytes(colours: Samples) -> NDArray[np.uint8]:
    """Round and clip grey levels (N, 4) to RGB (N, 3)."""
    return np.asarray(cv2.convertScaleAbs(colours)[:, :3], np.uint8)


def _edge_pixels(view: View, surface: Surfaces) -> NDArray[np.bool_]:
    """Return a mask (H, W) of the pixels whose area may contain more than one surface."""
    kernel = np.ones((3, 3), np.uint8)
    marks = np.asarray(cv2.absdiff(cv2.dilate(surface, kernel), cv2.erode(surface, kernel)), np.uint8)
    for body in view.bodies:
        if body.thin and body.outline is not None:
            hull = cv2.convexHull(body.outline.astype(np.float32))
            cv2.polylines(marks, [np.round(hull * 16).astype(np.int32)], True, 255, 3, cv2.LINE_8, 4)
    return np.asarray(marks != 0)


class _Tables:
    """The view's surface parameters as float32 columns, indexed by surface number."""

    def __init__(self, view: View, atlas: Atlas) -> None:
        self.view, self.atlas = view, atlas
        self.plane = [_column(view.planes[:, column]) for column in range(2)]
        self.axes = [[_column(view.axes[:, axis, column]) for column in range(3)] for axis in range(2)]
        self.offset = [_column(view.offsets[:, axis]) for axis in range(2)]
        self.gain = _column(view.gain)
        self.texels = _column(atlas.texels[view.texture])
        self.quadrics = [body.shape for body in view.bodies if isinstance(body.shape, QuadricInView)]

    def colours(
        self, surface: Surfaces, q: Samples, x: Samples, y: Samples, footprint: float = 1.0
    ) -> Samples:
        """Return the samples' colours (N, 4) in grey levels; `footprint` is the sample spacing in pixels.

        Samples with the footprint of a whole pixel use taps; finer ones are averaged by the caller.
        """
        q_x, q_y = _look_up(self.plane[0], surface), _look_up(self.plane[1], surface)
        for shape in self.quadrics:
            hits = np.flatnonzero(surface == shape.surface)
            if hits.size:
                q_x[hits], q_y[hits] = _quadric_slopes(shape, x[hits], y[hits])
        depth = 1 / q
        coordinates: list[Samples] = []
        along_x: list[Samples] = []
        along_y: list[Samples] = []
        for axis in range(2):
            a, b, c = (_look_up(column, surface) for column in self.axes[axis])
            s: Samples = (a * x + b * y + c) * depth
            along_x.append((a - s * q_x) * depth)
            along_y.append((b - s * q_y) * depth)
            coordinates.append(s + _look_up(self.offset[axis], surface))
        s, t = coordinates
        # Periods per pixel along each side of the pixel. (numpy's hypot is twenty times slower.)
        stretch_x = np.sqrt(along_x[0] * along_x[0] + along_x[1] * along_x[1])
        stretch_y = np.sqrt(along_y[0] * along_y[0] + along_y[1] * along_y[1])
        longer, shorter = np.maximum(stretch_x, stretch_y), np.minimum(stretch_x, stretch_y)
        texture = self.view.texture.take(surface)
        texels, gain = _look_up(self.texels, surface), _look_up(self.gain, surface)
        if footprint < 1:
            return self.atlas.sample(texture, [(s, t)], _level(longer * texels * np.float32(footprint)), gain)
        colours = np.empty((s.size, 4), np.float32)
        slanted = longer > SLANTED * shorter
        flat = np.flatnonzero(~slanted)
        level = _level(longer * texels)
        colours[flat] = self.atlas.sample(
            texture.take(flat), [(s.take(flat), t.take(flat))], level.take(flat), gain.take(flat)
        )
        slant = np.flatnonzero(slanted)
        vertical = (stretch_y > stretch_x).take(slant)
        step_s = np.where(vertical, along_y[0].take(slant), along_x[0].take(slant))
        step_t = np.where(vertical, along_y[1].take(slant), along_x[1].take(slant))
        level = _level(np.maximum(longer / np.float32(TAPS), shorter).take(slant) * texels.take(slant))
        s, t = s.take(slant), t.take(slant)
        taps = [(s + tap * step_s, t + tap * step_t) for tap in _spread(TAPS, SPREAD)]
        colours[slant] = self.atlas.sample(texture.take(slant), taps, level, gain.take(slant))
        return colours


def _spread(count: int, extent: float) -> list[float]:
    """Return offsets from a pixel's centre of equally spaced samples of this extent in pixels."""
    return [((index + 0.5) / count - 0.5) * extent for index in range(count)]


def _column(values: NDArray[Any]) -> Samples:
    """Pad one number per surface to the 256 values of a byte."""
    column = np.zeros(256, np.float32)
    column[: values.size] = values
    return column


def _look_up(column: Samples, surface: Surfaces) -> Samples:
    """Return the column's values (N,) for surface numbers (N,)."""
    return np.asarray(cv2.LUT(surface, column), np.float32).reshape(-1)


def _level(texels: Samples) -> Samples:
    """Return the mip level for a footprint of this many texels of the finest level."""
    level: Samples = np.log2(np.maximum(texels, np.float32(1e-6))) + np.float32(np.log2(SPREAD))
    return level


def _quadric_slopes(shape: QuadricInView, x: Samples, y: Samples) -> tuple[Samples, Samples]:
    """Return derivatives of an ellipsoid's inverse depth along x and y; kept finite at the limb."""
    a, b, c, d, e, f = shape.discriminant
    x0, y0 = x - shape.centre[0], y - shape.centre[1]
    root = np.sqrt(np.maximum((a * x0 + b * y0 + d) * x0 + (c * y0 + e) * y0 + f, 1e-4 * f))
    q_x = (shape.slope[0] + (2 * a * x0 + b * y0 + d) / (2 * root)) / shape.c
    q_y = (shape.slope[1] + (2 * c * y0 + b * x0 + e) / (2 * root)) / shape.c
    return q_x.astype(np.float32), q_y.astype(np.float32)
