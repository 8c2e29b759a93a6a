"""`SMOKE=1`: the same stages on rendered data, in minutes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowdistill.recipes.commands import render
from flowdistill.recipes.reproduce.lock import exclusive_lock
from flowdistill.recipes.reproduce.run import check_files, reproduce
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import Name
from flowdistill.submission.kinds import SINTEL_PASSES, SINTEL_TEST_FRAMES

# Rendered data of a smoke run. They do not depend on the seed of the trainings. KITTI's have the names and numbers of
# its frames, so that every split is read unchanged: 200 sequences of 21 frames.
_CHAIRS = {"FlyingChairs": "--scenes 120 --frames 2 --size 72x144 --layout chairs --seed 2"}
SMOKE_DATA: dict[Name, dict[str, str]] = {
    "kitti": {
        "FlyingThings3D": "--scenes 64 --frames 6 --size 72x144 --layout things --seed 1",
        "kitti2015": "--scenes 200 --frames 21 --size 72x144 --layout kitti2015 --seed 0",
        **_CHAIRS,
    },
    "sintel": {"MPI-Sintel": "--scenes 12 --frames 11 --size 72x144 --layout sintel --seed 3", **_CHAIRS},
}


def reproduce_smoke(settings: Settings, stages: Sequence[str], reproduction: Name = "kitti") -> None:
    """Run `reproduce` on rendered data, which is created first.

    Raises:
        UserError: as for `reproduce`.
    """
    check_files(settings)
    with exclusive_lock(settings.data_root):
        for name, options in SMOKE_DATA[reproduction].items():
            render(settings.data_root / name, options)
        # The test scenes are the training scenes again, because they are not scored.
        if reproduction == "kitti":
            _link(settings.root("kitti") / "testing", "training")
        else:
            _link_sintel_test(settings.root("sintel"))
    reproduce(settings, stages, reproduction)


def _link(link: Path, target: str) -> None:
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


def _link_sintel_test(root: Path) -> None:
    """Give Sintel's test set its names: each scene shows one training scene, forward and backward in turn."""
    scenes = sorted(folder.name for folder in (root / "training" / "clean").iterdir())
    for number, (name, frames) in enumerate(SINTEL_TEST_FRAMES.items()):
        scene = scenes[number % len(scenes)]
        last = len(list((root / "training" / "clean" / scene).iterdir())) - 1
        for index in range(frames):
            frame = 1 + last - abs(last - index % (2 * last))
            for render_pass in SINTEL_PASSES:
                target = f"../../../training/{render_pass}/{scene}/frame_{frame:04d}.png"
                _link(root / "test" / render_pass / name / f"frame_{index + 1:04d}.png", target)
