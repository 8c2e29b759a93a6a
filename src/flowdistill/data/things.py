"""FlyingThings3D, the original release.

    <root>/frames_cleanpass/TRAIN/A/0000/left/0006.png   TRAIN or TEST / A, B, C / sequence / left, right / frame
    <root>/frames_finalpass/...                          the same images with motion blur and defocus
    <root>/frames_cleanpass_webp/TRAIN/A/0000/left/0006.webp, frames_finalpass_webp/...  instead of the PNG files
    <root>/optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm   3 channels, the third unused
    <root>/optical_flow/TRAIN/A/0000/into_past/left/OpticalFlowIntoPast_0007_L.pfm       (optional)
    <root>/disparity/TRAIN/A/0000/left/0006.pfm                                          positive
    <root>/disparity_change/TRAIN/A/0000/into_future/left/0006.pfm                       added to the disparity
    <root>/all_unused_files.txt                          frames to leave out (optional), as TRAIN/A/0000/left/0006.png

An id is `TRAIN/A/0000/0006`: t0 is frame 0006, t1 frame 0007. If images exist as PNG and WebP, PNG is read.
Flow has ground truth for both cameras, other labels are used for the left one only. A scan skips pairs that include a
frame of `all_unused_files.txt`; the subset (`things_subset.py`) does not contain such frames.
Source: Mayer et al., A Large Dataset to Train Convolutional Networks ..., CVPR 2016, and the data set's web page.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from flowdistill.data.files import PFM_CHANGE, PFM_DISPARITY, PFM_FLOW, SampleFile
from flowdistill.data.pictures import PNG, WEBP, Pictures, PicturesDataset, frames_of, one_kind, pictures_in
from flowdistill.data.scan_cache import Scan, cached_ids
from flowdistill.data.splits import CAMERAS, Camera, SplitEntry
from flowdistill.data.tree import contents, without_gaps
from flowdistill.errors import UserError

PARTS = ("TRAIN", "TEST")
UNUSED = "all_unused_files.txt"
_UNUSED_FRAME = re.compile(r"((?:TRAIN|TEST)/[A-Z]/\d{4})/(?:left/|right/)?(\d{4})(?:\.\w+)?$")


class ThingsDataset(PicturesDataset):
    """FlyingThings3D (`dataset: things`); options: `render_pass: clean|final`.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.data import SplitEntry, ThingsDataset
        >>> from flowdistill.formats import write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = Path(root, "frames_cleanpass", "TRAIN", "A", "0000", "left")
        ...     folder.mkdir(parents=True)
        ...     for frame in (6, 7):
        ...         write_image(folder / f"{frame:04d}.png", np.zeros((64, 96, 3), np.uint8))
        ...     sample = ThingsDataset(root, [SplitEntry("TRAIN/A/0000/0006")], "flow", labels=False)[0]
        >>> sample["name"], sample["left_t1"].shape
        ('TRAIN/A/0000/0006', torch.Size([3, 64, 96]))
    """

    name = "things"
    title = "FlyingThings3D"
    id_form = re.compile(r"((?:TRAIN|TEST)/[A-Z]/\d{4})/(\d{4})")
    id_words = "part, letter, sequence and frame, for example TRAIN/A/0000/0006"
    digits = 4
    split_words: ClassVar[tuple[str, ...]] = ("scan", *(f"scan:{part}" for part in PARTS))

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
        # The first sequence decides for all; sequences without this folder are then reported as missing files.
        first, _ = self._parts(self.entries[0])
        if self.has_folder(f"optical_flow/{first}/into_past"):
            past = f"{flows}/into_past/{entry.camera}/OpticalFlowIntoPast_{frame + 1:04d}_{side}.pfm"
            files.append(SampleFile("flow_backward", past, PFM_FLOW, "optional"))
        return files

    @classmethod
    def pictures_of(cls, root: str, part: str, options: Mapping[str, str], camera: Camera) -> Pictures:
        places = {kind: f"{root}/{kind.folder}/{part}/{camera}" for kind in picture_kinds(options)}
        return pictures_in(places, cls.digits)

    def picture_folder(self, part: str) -> str:
        return f"{self._pictures.folder}/{part}"

    @classmethod
    def markers(cls, options: Mapping[str, str]) -> list[str]:
        folders = dict.fromkeys(kind.folder for kind in picture_kinds(options))
        return [f"{folder}/{part}" for folder in folders for part in PARTS]

    @classmethod
    def find_root(cls, root: str | Path | None, options: Mapping[str, str]) -> str:
        try:
            return super().find_root(root, options)
        except UserError as error:
            webp = f"{frames_folder(options)}_webp"
            raise UserError(
                f"{error}\nInstead of PNG files it may contain the WebP files, {webp}."
            ) from error

    @classmethod
    def named_split(cls, word: str, root: str, options: Mapping[str, str]) -> list[SplitEntry]:
        """`scan:TRAIN`, `scan:TEST`, or `scan` for both: frames with a successor, except the unused ones; cached."""
        part = word.partition(":")[2]
        kinds = picture_kinds(options)
        ids = cached_ids(root, f"things-{options['render_pass']}", partial(_find_pairs, kinds))
        entries = [SplitEntry(id_) for id_ in ids if id_.startswith(part)]
        if not entries:
            places = [f"{root}/{marker}" for marker in cls.markers(options) if marker.endswith(part)]
            place = next((place for place in places if os.path.isdir(place)), places[0])
            raise UserError(
                f"{place} contains no pair of frames, but {contents(place)}. Frames are expected as "
                "A/0000/left/0006.png (letter, sequence, camera, frame), or in "
                f"{frames_folder(options)}_webp/{part or PARTS[0]} as WebP; a pair is two consecutive frames."
            )
        return entries


def frames_folder(options: Mapping[str, str]) -> str:
    """Return the folder of the chosen images in PNG format."""
    return f"frames_{options['render_pass']}pass"


def picture_kinds(options: Mapping[str, str]) -> list[Pictures]:
    """Return the possible formats of the chosen images, the preferred one first."""
    folder = frames_folder(options)
    return [Pictures(folder, PNG), Pictures(f"{folder}_webp", WEBP), Pictures(folder, WEBP)]


def _find_pairs(kinds: list[Pictures], scan: Scan) -> list[str]:
    unused = _unused_frames(scan)
    frames: dict[Pictures, set[str]] = {kind: set() for kind in kinds}
    for folder in dict.fromkeys(kind.folder for kind in kinds):
        for place in _camera_folders(folder, scan):
            names = scan.listing(f"{folder}/{place}")
            for kind in kinds:
                if kind.folder == folder:
                    frames[kind].update(f"{place}/{number}" for number in frames_of(names, kind.suffix, 4))
    chosen = one_kind(frames, scan.root)
    if chosen is None:
        return []
    if others := [kind.folder for kind, found in frames.items() if found and kind != chosen]:
        scan.remarks.append(
            f"{scan.root}: {chosen.folder} is read; {', '.join(others)} contains the same frames as {WEBP} files"
        )
    sequences: dict[str, set[int]] = defaultdict(set)
    for frame in frames[chosen]:
        sequence, _, number = frame.rsplit("/", 2)
        sequences[sequence].add(int(number))
    ids = []
    for sequence in sorted(sequences, key=lambda name: (PARTS.index(name.split("/")[0]), name)):
        left = without_gaps(sequences[sequence]) - unused.get(sequence, set())
        ids += [f"{sequence}/{frame:04d}" for frame in sorted(left) if frame + 1 in left]
    return [id_ for id_ in ids if ThingsDataset.id_form.fullmatch(id_)]


def _camera_folders(folder: str, scan: Scan) -> Iterator[str]:
    """Yield TRAIN/A/0000/left and all other camera folders below a folder of images."""
    for part in PARTS:
        for letter in scan.listing(f"{folder}/{part}"):
            for sequence in scan.listing(f"{folder}/{part}/{letter}"):
                yield from (f"{part}/{letter}/{sequence}/{camera}" for camera in CAMERAS)


def _unused_frames(scan: Scan) -> dict[str, set[int]]:
    """Return sequence -> frames listed in `all_unused_files.txt`, of either camera."""
    unused: dict[str, set[int]] = defaultdict(set)
    lines = [line.strip() for line in scan.lines(UNUSED) if line.strip()]
    for line in lines:
        if match := _UNUSED_FRAME.search(line):
            unused[match[1]].add(int(match[2]))
    if lines and not unused:
        raise UserError(
            f"{scan.root}/{UNUSED}: no line has the form TRAIN/A/0000/left/0006.png; the first is {lines[0]!r}. "
            "Download the file from the data set's page, or move it away to use every frame."
        )
    return unused
