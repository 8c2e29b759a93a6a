"""Report a Sintel evaluation as JSON and as a table."""

from __future__ import annotations

from typing import Any

from flowdistill.evaluation.sintel.frames import FrameErrors, by_scene, pool
from flowdistill.evaluation.sintel.regions import REGIONS


def to_json(frames: dict[str, FrameErrors]) -> dict[str, Any]:
    """Return `{"pooled": {pass: {region: block}}, "per_scene": {...}, "per_frame": {...}}`; see docs/evaluation.md."""
    return {
        "pooled": _blocks(pool(frames.values())),
        "per_scene": {scene: _blocks(errors) for scene, errors in by_scene(frames).items()},
        "per_frame": {frame: _blocks(errors) for frame, errors in frames.items()},
    }


def table(pooled: FrameErrors) -> str:
    """Format the mean end-point error in px, one line per pass, columns as in Sintel's table; `-` if no pixels."""
    columns = [region for region in REGIONS if any(region in errors for errors in pooled.values())]
    lines = [" " * 6 + "".join(f"{column:>11}" for column in columns)]
    for name, errors in pooled.items():
        means = [errors[column].mean for column in columns]
        cells = ["-" if mean is None else f"{mean:.3f}" for mean in means]
        lines.append(f"{name:<6}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)


def _blocks(errors: FrameErrors) -> dict[str, Any]:
    return {
        name: {region: {"epe": error.mean, "pixels": error.pixels} for region, error in found.items()}
        for name, found in errors.items()
    }
