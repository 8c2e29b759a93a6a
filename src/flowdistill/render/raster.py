"""Ray casting: visible surface and inverse depth, at grid points or between them.

Everything is analytic. Arrays have the dtype of the given coordinates: float32 for images and visibility, float64 for
ground truth. Surfaces are numbered as in `View`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowdistill.render.view import PlanesInView, QuadricInView, View

Values = NDArray[Any]
Surfaces = NDArray[np.uint8]


def _affine(c: list[float], x: Values, y: Values) -> Values:
    # Grouped so that on a grid (x a row, y a column) only one operation has the size of the grid.
    values: Values = c[0] * x + (c[1] * y + c[2])
    return values


def _hit_planes(shape: PlanesInView, x: Values, y: Values) -> tuple[Values, Surfaces]:
    """Return inverse depth (0 if missed) and surface of a convex polytope."""
    q = _affine(shape.front[0], x, y)
    surface = np.full(q.shape, shape.front_surfaces[0], np.uint8)
    for coefficients, number in zip(shape.front[1:], shape.front_surfaces[1:], strict=True):
        other = _affine(coefficients, x, y)
        surface[other < q] = number
        np.minimum(q, other, out=q)
    if shape.back:
        leave = _affine(shape.back[0], x, y)
        for coefficients in shape.back[1:]:
            np.maximum(leave, _affine(coefficients, x, y), out=leave)
        q *= q >= leave
    return q, surface


def quadric_depth(shape: QuadricInView, x: Values, y: Values) -> tuple[Values, Values]:
    """Return inverse depth and quarter discriminant of an ellipsoid; the discriminant is negative beyond its limb."""
    a, b, c, d, e, f = shape.discriminant
    x0, y0 = x - shape.centre[0], y - shape.centre[1]
    discriminant = (a * x0 + b * y0 + d) * x0 + (c * y0 + e) * y0 + f
    q = (_affine(shape.slope, x, y) + np.sqrt(np.maximum(discriminant, 0))) / shape.c
    return q, discriminant


def _hit(shape: PlanesInView | QuadricInView, x: Values, y: Values) -> tuple[Values, Surfaces | int]:
    if isinstance(shape, PlanesInView):
        return _hit_planes(shape, x, y)
    q, discriminant = quadric_depth(shape, x, y)
    q *= discriminant >= 0
    return q, shape.surface


def _room(view: View, x: Values, y: Values) -> tuple[Values, Surfaces]:
    (first, coefficients), *others = view.room
    q = _affine(coefficients, x, y)
    surface = np.full(q.shape, first, np.uint8)
    for number, coefficients in others:
        other = _affine(coefficients, x, y)
        surface[other > q] = number
        np.maximum(q, other, out=q)
    return q, surface


def cast_grid(view: View) -> tuple[Values, Surfaces]:
    """Return inverse depth float32 (H, W) and surface (H, W) at all pixel centres."""
    height, width = view.camera.height, view.camera.width
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    q, surface = _room(view, x, y)
    for body in view.bodies:
        left, top, right, bottom = body.box
        columns = slice(int(max(np.ceil(left), 0)), int(min(np.floor(right), width - 1)) + 1)
        rows = slice(int(max(np.ceil(top), 0)), int(min(np.floor(bottom), height - 1)) + 1)
        if columns.start >= columns.stop or rows.start >= rows.stop:
            continue
        hit, number = _hit(body.shape, x[:, columns], y[rows])
        _nearer(q[rows, columns], surface[rows, columns], hit, number)
    return q, surface


def _nearer(q: Values, surface: Surfaces, hit: Values, number: Surfaces | int) -> None:
    """Keep the nearer of two hits, in place."""
    nearer = hit > q
    np.copyto(q, hit, where=nearer)
    np.copyto(surface, np.uint8(number) if isinstance(number, int) else number, where=nearer)


def cast_points(view: View, x: Values, y: Values) -> tuple[Values, Surfaces]:
    """Return inverse depth and surface (N,) at points (N,) of the frame, which extends half a pixel beyond the grid."""
    q, surface = _room(view, x, y)
    for body in view.bodies:
        left, top, right, bottom = body.box
        inside = np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom))
        if inside.size == 0:
            continue
        hit, number = _hit(body.shape, x[inside], y[inside])
        closest, seen = q[inside], surface[inside]
        _nearer(closest, seen, hit, number)
        q[inside], surface[inside] = closest, seen
    return q, surface
