"""Requirements of each benchmark's server: files, their content, and the sizes of the test images.

KITTI 2015: zip with disp_0/ (stereo), flow/ (flow) or disp_0/ disp_1/ flow/ (scene flow), each 000000_10.png to
            000199_10.png
KITTI 2012: zip with 000000_10.png to 000194_10.png in its root, disparity or flow
MPI Sintel: folder with clean/SCENE/frame_0001.flo ... and final/..., which Sintel's own `bundler` turns into one file;
            frame0001.flo, as in the bundler's README, is also accepted
Sources: readme.txt of both KITTI development kits and the upload pages' instructions; README of Sintel's bundler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flowdistill.check.downloads import DOWNLOADS
from flowdistill.errors import UserError
from flowdistill.formats.kitti import FOLDERS

Content = Literal["disparity", "flow", "flo"]
Motion = Literal["disparity_t0", "disparity_t1", "flow"]  # keys of the batch contract
Size = tuple[int, int]  # height, width in px

BENCHMARKS = ("kitti2015", "kitti2012", "sintel")
# Quantities of each task of KITTI.
_MOTIONS: dict[str, tuple[Motion, ...]] = {
    "stereo": ("disparity_t0",),
    "flow": ("flow",),
    "sceneflow": ("disparity_t0", "disparity_t1", "flow"),
}
#: Folders of KITTI 2015 by task.
KITTI2015_FOLDERS = {task: [FOLDERS[motion] for motion in motions] for task, motions in _MOTIONS.items()}
TASKS: dict[str, tuple[str, ...]] = {
    "kitti2015": tuple(_MOTIONS),
    "kitti2012": ("stereo", "flow"),
    "sintel": ("flow",),
}
KITTI_SIZES, SINTEL_SIZES = DOWNLOADS["kitti2015"].sizes, DOWNLOADS["sintel"].sizes
SINTEL_PASSES = ("clean", "final")
#: Sintel's test scenes and their numbers of frames; a scene has one flow fewer.
SINTEL_TEST_FRAMES = {
    "PERTURBED_market_3": 50, "PERTURBED_shaman_1": 50, "ambush_1": 23, "ambush_3": 41, "bamboo_3": 50, "cave_3": 50,
    "market_1": 50, "market_4": 50, "mountain_2": 50, "temple_1": 50, "tiger": 50, "wall": 50,
}  # fmt: skip


@dataclass(frozen=True)
class SubmissionFile:
    """One file of a submission."""

    motion: Motion  # its quantity
    content: Content  # its format
    image: str  # its test image, relative to the folder of a camera or pass
    sample: str  # name, in the data package, of the sample that it is predicted from


@dataclass(frozen=True)
class SubmissionKind:
    """Everything that a server expects; built by `kitti2015`, `kitti2012` and `sintel`."""

    benchmark: str  # one of BENCHMARKS
    title: str  # for the user
    files: Mapping[str, SubmissionFile]  # path in the submission -> file, in order
    sizes: frozenset[Size]  # of the benchmark's test images
    zipped: bool
    other_names: Mapping[str, str] = field(default_factory=dict)  # other accepted path -> path

    @property
    def motions(self) -> set[Motion]:
        """The quantities of its files."""
        return {file.motion for file in self.files.values()}

    @property
    def images(self) -> list[str]:
        """The test images, each once, in order."""
        return list(dict.fromkeys(file.image for file in self.files.values()))


def kitti2015(task: str, scenes: int = 200) -> SubmissionKind:
    """KITTI 2015's submission for a task of `TASKS`; `scenes` is only changed by tests."""
    return _kitti(2015, task, scenes)


def kitti2012(task: str, scenes: int = 195) -> SubmissionKind:
    """KITTI 2012's submission for a task of `TASKS`; `scenes` is only changed by tests."""
    return _kitti(2012, task, scenes)


def sintel(frames: Mapping[str, int] | None = None) -> SubmissionKind:
    """Sintel's two passes, before bundling; `frames` (scene -> number) is only changed by tests."""
    names = [
        f"{scene}/frame_{number:04d}"
        for scene, count in (frames or SINTEL_TEST_FRAMES).items()
        for number in range(1, count)
    ]
    files = {
        f"{pass_}/{name}.flo": SubmissionFile("flow", "flo", f"{name}.png", f"{pass_}/{name}")
        for pass_ in SINTEL_PASSES
        for name in names
    }
    others = {path.replace("/frame_", "/frame"): path for path in files}
    return SubmissionKind("sintel", "MPI Sintel flow", files, SINTEL_SIZES, zipped=False, other_names=others)


def submission_kind(benchmark: str, task: str) -> SubmissionKind:
    """Return the submission that the server of a benchmark of `BENCHMARKS` expects for a task.

    Raises UserError if the benchmark has no such task.
    """
    if task not in TASKS[benchmark]:
        raise UserError(f"--task: {benchmark} has no {task} benchmark; it has {', '.join(TASKS[benchmark])}")
    if benchmark == "sintel":
        return sintel()
    return kitti2015(task) if benchmark == "kitti2015" else kitti2012(task)


def _kitti(year: int, task: str, scenes: int) -> SubmissionKind:
    files = {}
    for motion in _MOTIONS[task]:
        folder = f"{FOLDERS[motion]}/" if year == 2015 else ""
        content: Content = "flow" if motion == "flow" else "disparity"
        for name in [f"{scene:06d}_10" for scene in range(scenes)]:
            files[f"{folder}{name}.png"] = SubmissionFile(motion, content, f"{name}.png", name)
    return SubmissionKind(f"kitti{year}", f"KITTI {year} {task}", files, KITTI_SIZES, zipped=True)
