"""`SMOKE=1`: rendered data in place of KITTI and FlyingThings3D, so that every stage and split runs unchanged.

The frames have KITTI's names and numbers, 200 sequences of 21 frames, and are 72x144. The test scenes are the training
scenes again, because they are not scored.
"""

from __future__ import annotations

from pathlib import Path

from flowdistill.recipes.commands import render

# The data do not depend on the seed of the trainings.
KITTI = "--scenes 200 --frames 21 --size 72x144 --layout kitti2015 --seed 0"
THINGS = "--scenes 64 --frames 6 --size 72x144 --layout things --seed 1"


def render_data(data_root: Path) -> None:
    """Render the data that do not exist yet."""
    data_root.mkdir(parents=True, exist_ok=True)
    render(data_root / "FlyingThings3D", THINGS)
    render(data_root / "kitti2015", KITTI)
    testing = data_root / "kitti2015" / "testing"
    if not testing.is_symlink():
        testing.symlink_to("training", target_is_directory=True)
