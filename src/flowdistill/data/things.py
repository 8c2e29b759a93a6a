"""FlyingThings3D, the original release.

    <root>/frames_cleanpass/TRAIN/A/0000/left/0006.png   TRAIN or TEST / A, B, C / sequence / left, right / frame
    <root>/frames_finalpass/...                          the same pictures with motion blur and defocus
    <root>/optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm   3 channels, the third unused
    <root>/optical_flow/TRAIN/A/0000/into_past/left/OpticalFlowIntoPast_0007_L.pfm       (optional)
    <root>/disparity/TRAIN/A/0000/left/0006.pfm                                          positive
    <root>/disparity_change/TRAIN/A/0000/into_future/left/0006.pfm                       added to the disparity
    <root>/all_unused_files.txt                          frames to leave out (optional), as TRAIN/A/0000/left/0006.png

An id is `TRAIN/A/0000/0006`: t0 is frame 0006, t1 frame 0007. Flow has truth for both cameras, all else is used for the
left one. A scan takes no pair that touches a frame of `all_unused_files.txt`, as if it were not there; in the subset
(`things_subset.py`) such frames are indeed not there.
Source: Mayer et al., A Large Dataset to Train Convolutional Networks ..., CVPR 2016, and the data set's web page.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.files import IMAGE, PFM_CHANGE, PFM_DISPARITY, PFM_FLOW, SampleFile
from flowdistill.data.options import Option
from flowdistill.data.scan_cache import Scan, cached_ids
from flowdistill.data.splits import CAMERAS, Camera, SplitEntry
from flowdistill.data.tree import contents, without_gaps
from flowdistill.errors import UserError

PARTS = ("TRAIN", "TEST")
UNUSED = "all_unused_files.txt"
_UNUSED_FRAME = re.compile(r"((?:TRAIN|TEST)/[A-Z]/\d{4})/(?:left/|right/)?(\d{4})(?:\.\w+)?$")


class ThingsDataset(MotionDataset):
    """FlyingThings3D (`dataset: things`); options: `render_pass: clean|final`."""

    name = "things"
    title = "FlyingThings3D"
    id_form = re.compile(r"((?:TRAIN|TEST)/[A-Z]/\d{4})/(\d{4})")
    id_words = "part, letter, sequence and frame, for example TRAIN/A/0000/0006"
    labelled_cameras: ClassVar[tuple[Camera, ...]] = ("left", "right")
    option_values: ClassVar[Mapping[str, Option]] = {"render_pass": ("clean", "final")}
    split_words: ClassVar[tuple[str, ...]] = ("scan", *(f"scan:{part}" for part in PARTS))

    def images(self, entry: SplitEntry) -> list[SampleFile]:
        sequence, frame = self._parts(entry)
        folder = f"{self.root}/{frames_folder(self.options)}/{sequence}"
        cameras = {"left": entry.camera} if self.view == "flow" else {"left": "left", "right": "right"}
        return [
            SampleFile(f"{side}_t{time}", f"{folder}/{camera}/{frame + time:04d}.png", IMAGE, "image")
            for time in (0, 1)
            for side, camera in cameras.items()
        ]

    def truth(self, entry: SplitEntry) -> list[SampleFile]:
        sequence, frame = self._parts(entry)
        flows = f"{self.root}/optical_flow/{sequence}"
        side = entry.camera[0].upper()
        future = f"{flows}/into_future/{entry.camera}/OpticalFlowIntoFuture_{frame:04d}_{side}.pfm"
        if self.view == "scene_flow":
            disparity = f"{self.root}/disparity/{sequence}/left/{frame:04d}.pfm"
            change = f"{self.root}/disparity_change/{sequence}/into_future/left/{frame:04d}.pfm"
            return [
                SampleFile("disparity_t0", disparity, PFM_DISPARITY),
                SampleFile("disparity_t1", change, PFM_CHANGE),
                SampleFile("flow", future, PFM_FLOW),
            ]
        files = [SampleFile("flow", future, PFM_FLOW)]
        # All sequences or none: what the first one has decides, and the others are then missed by name.
        first, _ = self._parts(self.entries[0])
        if self.has_folder(f"optical_flow/{first}/into_past"):
            past = f"{flows}/into_past/{entry.camera}/OpticalFlowIntoPast_{frame + 1:04d}_{side}.pfm"
            files.append(SampleFile("flow_backward", past, PFM_FLOW, "optional"))
        return files

    def _parts(self, entry: SplitEntry) -> tuple[str, int]:
        match = self.match_id(entry)
        return match[1], int(match[2])

    @classmethod
    def markers(cls, options: Mapping[str, str]) -> list[str]:
        return [f"{frames_folder(options)}/{part}" for part in PARTS]

    @classmethod
    def named_split(cls, word: str, root: str, options: Mapping[str, str]) -> list[SplitEntry]:
        """`scan:TRAIN`, `scan:TEST`, or both by `scan`: every frame with a successor, less the unused ones; cached."""
        part = word.partition(":")[2]
        folder = frames_folder(options)
        ids = cached_ids(root, f"things-{options['render_pass']}", partial(_find_pairs, folder))
        entries = [SplitEntry(id_) for id_ in ids if id_.startswith(part)]
        if not entries:
            place = f"{root}/{folder}/{part}".rstrip("/")
            raise UserError(
                f"{place} holds no pair of frames, but {contents(place)}. Frames lie in A/0000/left/0006.png "
                "(letter, sequence, camera, frame); a pair is two that follow each other."
            )
        return entries


def frames_folder(options: Mapping[str, str]) -> str:
    """The folder of the chosen pictures."""
    return f"frames_{options['render_pass']}pass"


def _find_pairs(folder: str, scan: Scan) -> list[str]:
    unused = _unused_frames(scan)
    found = []
    for part in PARTS:
        for letter in scan.listing(f"{folder}/{part}"):
            for sequence in scan.listing(f"{folder}/{part}/{letter}"):
                place = f"{part}/{letter}/{sequence}"
                names = [name for camera in CAMERAS for name in scan.listing(f"{folder}/{place}/{camera}")]
                frames = without_gaps(int(name[:4]) for name in names if re.fullmatch(r"\d{4}\.png", name))
                frames -= unused.get(place, set())
                found += [f"{place}/{frame:04d}" for frame in sorted(frames) if frame + 1 in frames]
    return [id_ for id_ in found if ThingsDataset.id_form.fullmatch(id_)]


def _unused_frames(scan: Scan) -> dict[str, set[int]]:
    """Sequence -> frames that `all_unused_files.txt` names, of either camera."""
    unused: dict[str, set[int]] = defaultdict(set)
    lines = [line.strip() for line in scan.lines(UNUSED) if line.strip()]
    for line in lines:
        if match := _UNUSED_FRAME.search(line):
            unused[match[1]].add(int(match[2]))
    if lines and not unused:
        raise UserError(
            f"{scan.root}/{UNUSED}: no line names a frame as TRAIN/A/0000/left/0006.png; the first is {lines[0]!r}. "
            "Take the file from the data set's page, or move it away to use every frame."
        )
    return unused
