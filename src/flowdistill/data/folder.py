"""A user's own frames: folders of images, or videos.

    <root>/.../frame_0001.png frame_0002.png    the images of a folder are a sequence: png, jpg, jpeg, webp, bmp, tif,
                                                ppm, ..., in any case and mixed
    <root>/.../clip.mp4                         so is a video: mp4, mkv, mov, avi, webm, m4v, mpg, ...

All folders below the root are searched, except hidden ones. Within a folder, a sequence consists of the files whose
names differ only in the frame number (`folder_names.py`), in the order of these numbers, so 000000_00.png .. and
000001_00.png .. are two. There is no ground truth.

Options: `every: K` uses frames 0, K, 2K, ... of each sequence; `stride: S` makes t1 the S-th of these after t0;
`limit: N` uses at most N pairs, spread evenly over all. `left: image_2, right: image_3` identifies the right camera's
files by parts of their paths (`StereoNames`); `left` alone restricts the frames to files with it in their path.

An id is the path of t0 without its suffix, `walk/frame_0001`, or that of a video and the frame number from 0,
`walk/clip.mp4/000000`; white space and `#=%` are written %20, %23, %3D, %25 (`frame_ids.py`). Instead of a file of ids
DDFlow's list can be used: a line is first image, second image, name; paths are relative to the root.
Source of the list: DDFlow's released code, dataset/KITTI/train_raw_2015_with_id.txt.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

from flowdistill.data.access import is_folder, is_nowhere
from flowdistill.data.dataset import MotionDataset
from flowdistill.data.files import ANY_IMAGE, SampleFile
from flowdistill.data.folder_names import StereoNames
from flowdistill.data.folder_scan import Frame, pair, scan_folder
from flowdistill.data.frame_ids import frame_id
from flowdistill.data.notes import note
from flowdistill.data.options import Number, Option, Text
from flowdistill.data.splits import BadLine, Camera, SplitEntry, examine_split, parse_line
from flowdistill.data.tree import few
from flowdistill.errors import UserError

_ALL = "all"


class FolderDataset(MotionDataset):
    """A folder of images or videos (`dataset: folder`); options: see above.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.data import open_dataset
        >>> from flowdistill.formats import write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for frame in range(6):
        ...         write_image(f"{root}/frame_{frame}.png", np.zeros((64, 96, 3), np.uint8))
        ...     pairs = open_dataset("folder", root, "scan", "flow", labels=False, options={"every": 2})
        >>> [entry.id for entry in pairs.entries]  # frames 0 and 2, 2 and 4
        ['frame_0', 'frame_2']
    """

    name = "folder"
    title = "frames of your own"
    id_form = re.compile(r"[^\s#=]+")
    id_words = "the path of a frame below the root without its suffix, for example walk/frame_0001"
    option_values: ClassVar[Mapping[str, Option]] = {
        "stride": Number("1"),
        "every": Number("1"),
        "limit": Number(_ALL, words=(_ALL,)),
        "left": Text(),
        "right": Text(),
    }

    def images(self, entry: SplitEntry) -> list[SampleFile]:
        if not entry.frames:
            raise ValueError(
                f"{entry.id}: an entry of a folder needs its frames; see read_split and named_split"
            )
        frames: dict[Camera, tuple[str, ...]] = {"left": entry.frames[:2], "right": entry.frames[2:]}
        if not frames["right"] and (self.view == "scene_flow" or entry.camera == "right"):
            raise UserError(
                "Frames of two cameras are required, but it is not known which files are the right camera's. Set "
                "data.init_args.options to the parts of the paths that distinguish the cameras, for example "
                "{left: image_2, right: image_3}."
            )
        return self.image_files(entry, lambda camera, time: frames[camera][time], ANY_IMAGE)

    def truth(self, entry: SplitEntry) -> list[SampleFile]:
        return []

    def without_truth(self) -> str | None:
        return "a folder of frames has no ground truth"

    @classmethod
    def markers(cls, options: Mapping[str, str]) -> list[str]:
        return []

    @classmethod
    def find_root(cls, root: str | Path | None, options: Mapping[str, str]) -> str:
        if root is None or not str(root).strip():
            raise UserError(
                "No data folder is given. Set it with --data.init_args.root DIR or `export DATA_ROOT=DIR`, where DIR "
                "contains your frames or videos, in any number of folders."
            )
        path = Path(root).expanduser()
        if is_nowhere(path):
            raise UserError(f"The data folder {path} does not exist (looked from {Path.cwd()}).")
        if not is_folder(path):
            raise UserError(
                f"The data folder {path} is a file. Set the folder that contains it: every image and every video there "
                f"is used (only this one: --data.init_args.options.left {path.stem})."
            )
        return str(path)

    @classmethod
    def chosen_options(cls, options: Mapping[str, str | int] | None) -> dict[str, str]:
        chosen = super().chosen_options(options)
        if chosen["right"] and chosen["left"] in ("", chosen["right"]):
            raise UserError(
                f"options.right of {cls.name} is {chosen['right']!r}; options.left must then be the corresponding part "
                "of a left frame's path, for example {left: image_2, right: image_3}."
            )
        return chosen

    @classmethod
    def named_split(cls, word: str, root: str, options: Mapping[str, str]) -> list[SplitEntry]:
        """`scan`: every pair of frames, sequence by sequence."""
        entries = list(scan_folder(root, options))
        if options["limit"] != _ALL and int(options["limit"]) < len(entries):
            note(f"folder: {options['limit']} of the {len(entries)} pairs are used (limit), spread evenly")
        return entries

    @classmethod
    def select(cls, entries: list[SplitEntry], options: Mapping[str, str]) -> list[SplitEntry]:
        if options["limit"] == _ALL or len(entries) <= int(options["limit"]):
            return entries
        limit = int(options["limit"])
        return [entries[place * len(entries) // limit] for place in range(limit)]

    @classmethod
    def read_split(
        cls,
        path: str,
        root: str | None,
        options: Mapping[str, str],
        check: Callable[[SplitEntry], object],
    ) -> tuple[list[SplitEntry], list[BadLine]]:
        """Read ids, or lines of DDFlow's list; the folder is scanned if any line is an id."""
        found = cls.find_root(root, options)
        known: dict[str, SplitEntry] = {}

        def parse(words: list[str]) -> SplitEntry:
            if len(words) > 1 and "=" not in words[1]:
                return _listed(words, found, options)
            entry = parse_line(words)
            if not known:
                known.update((other.id, other) for other in scan_folder(found, options))
            if entry.id not in known:
                longer = [id_ for id_ in known if id_.endswith(f"/{entry.id}")]
                meant = f" Did you mean {few(longer)}?" if longer else ""
                raise UserError(
                    f"no pair of frames in {found} starts with {entry.id!r}. An id is {cls.id_words}; a pair needs a "
                    f"frame {options['stride']} after it.{meant}"
                )
            return replace(entry, frames=known[entry.id].frames)

        return examine_split(path, check, parse=parse)


def _listed(words: list[str], root: str, options: Mapping[str, str]) -> SplitEntry:
    """Return the entry for `first_image second_image name`, which may be followed by the usual options of a line."""
    if len(words) < 3 or "=" in words[2]:
        raise UserError(
            "a line is an id, or first image, second image and name separated by spaces (paths that contain spaces "
            "cannot be listed; `scan` supports them)."
        )
    first, second, name, *settings = words
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise UserError(
            f"{name!r} is used to name output files for this pair, so it must be a relative path without `..`."
        )
    cameras = StereoNames((), options["left"], options["right"])
    frames = [
        Frame(
            frame_id(name),
            os.path.join(root, image),
            os.path.join(root, cameras.partner(image)) if cameras.right else None,
        )
        for image in (first, second)
    ]
    entry = parse_line([frames[0].id, *settings])
    return replace(entry, frames=pair(frames[0], frames[1]).frames)
