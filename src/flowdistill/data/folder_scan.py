"""Finds the frame sequences below a folder and reports anything unusual about them.

A sequence is a video, or the images of one folder that `folder_names.sequences` groups together. It ends where the
image size changes, because both frames of a pair must have the same size.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

from flowdistill.data.folder_names import StereoNames, gaps, same_stem, sequences
from flowdistill.data.folder_walk import join, unchanged, walk
from flowdistill.data.frame_ids import frame_id
from flowdistill.data.index import SplitIndex
from flowdistill.data.notes import note
from flowdistill.data.splits import SplitEntry
from flowdistill.data.tree import contents, few, many
from flowdistill.data.video import video_frames
from flowdistill.errors import UserError
from flowdistill.formats import FormatError, inspect_any_image, is_sixteen_bit_image, is_turned_image

Result = TypeVar("Result")


@dataclass(frozen=True)
class Frame:
    """A frame: its id, its file, and, with two cameras, the right camera's file."""

    id: str
    path: str
    right: str | None = None


def pair(first: Frame, second: Frame) -> SplitEntry:
    """Return the sample made of two frames; its id is that of the first frame."""
    paths = (first.path, second.path)
    right = () if first.right is None or second.right is None else (first.right, second.right)
    return SplitEntry(first.id, frames=(*paths, *right))


# Stored as arrays, because forked workers share this cache (index.py).
_kept: dict[tuple[str, ...], tuple[dict[str, int], SplitIndex]] = {}


def scan_folder(root: str, options: Mapping[str, str]) -> SplitIndex:
    """Return all frame pairs below a root, sequence by sequence; prints their number and anything unusual.

    Later calls in the same process return the same index, unless a folder has changed.

    Args:
        root: the folder.
        options: all options of `FolderDataset`.

    Raises:
        UserError: if there is no pair of frames, names are ambiguous, or a folder or video cannot be read.
    """
    key = (root, os.getcwd(), *(options[name] for name in ("every", "stride", "left", "right")))
    if key not in _kept or not unchanged(root, _kept[key][0]):
        scanner = _Scanner(root, options)
        _kept[key] = scanner.tree.stamps, SplitIndex(scanner.pairs())
    return _kept[key][1]


# What is unusual about a folder, and how it is reported.
_REMARKS = {
    "gaps": "numbers are missing at {places}: between {names}; the frames on both sides are treated as consecutive",
    "resized": "the image size changes, and no pair spans the change: {names}",
    "16 bit": "16 bits per channel are scaled to 8: {names}, and the frames after them",
    "turned": "an orientation tag is ignored, images are not rotated: {names}, and the frames after them",
    "alone": "frames without a right frame are left out: {names}",
    "labels": "skipped, labels or predictions according to their names: {names}",
    "not read": "not read, not one of png, jpg, webp, bmp, tif, ppm, mp4, ...: {names}",
}


class _Scanner:
    """One scan; `found` has the paths below the root that each remark is about."""

    def __init__(self, root: str, options: Mapping[str, str]) -> None:
        self.root, self.options = root, options
        self.every, self.stride = int(options["every"]), int(options["stride"])
        self.tree = walk(root, options["left"])
        self.files = [join(folder, name) for folder, names in self.tree.images.items() for name in names]
        self.cameras = StereoNames(self.files, options["left"], options["right"])
        self.video_cameras = StereoNames(self.tree.videos, options["left"], options["right"])
        self.found: dict[str, list[str]] = {what: [] for what in _REMARKS}
        self.found["labels"], self.found["not read"] = self.tree.passed_over, self.tree.not_read

    def pairs(self) -> list[SplitEntry]:
        """Return a sample for every frame that has another frame `stride` frames later."""
        found = [*self._of_images(), *self._of_videos()]
        entries = [
            pair(first, second)
            for frames in found
            for first, second in zip(frames, frames[self.stride :], strict=False)
        ]
        if not entries:
            raise UserError(self._nothing(found))
        for text in self._remarks(found, len(entries)):
            note(f"folder: {text}")
        return entries

    def _of_images(self) -> Iterator[list[Frame]]:
        with tqdm(desc=f"frames of {self.root}", total=len(self.files), unit="frame", delay=2) as progress:
            for folder, everything in self.tree.images.items():
                names = [name for name in everything if self.cameras.is_left(join(folder, name))]
                if (double := same_stem(names)) is not None:
                    raise UserError(
                        f"{self._full(folder)} contains {double[0]} and {double[1]}, two frames with the same name. "
                        "Move one of them out of the data folder."
                    )
                for names_in_order in sequences(names):
                    missing = gaps(names_in_order)
                    self.found["gaps"] += [f"{join(folder, gap.before)} and {gap.after}" for gap in missing]
                    paths = [join(folder, name) for name in names_in_order[:: self.every]]
                    for run in self._equally_large(paths):
                        yield [self._frame(path) for path in run]
                    progress.update(len(names_in_order))

    def _equally_large(self, paths: Sequence[str]) -> Iterator[list[str]]:
        """Yield the parts of a sequence within which the image size is constant."""
        for what, question in (("16 bit", is_sixteen_bit_image), ("turned", is_turned_image)):
            if _inspected(question, self._full(paths[0])):
                self.found[what].append(paths[0])
        run: list[str] = []
        before: tuple[int, int] | None = None
        for path in paths:
            size = (
                _inspected(inspect_any_image, self._full(path)) or before
            )  # a damaged image is reported when it is read
            if run and before is not None and size != before:
                self.found["resized"].append(f"{path} is {_sides(size)}, {run[-1]} is {_sides(before)}")
                yield run
                run = []
            run.append(path)
            before = size
        yield run

    def _frame(self, path: str) -> Frame:
        right = self._full(self.cameras.partner(path)) if self.cameras.right else None
        return Frame(frame_id(os.path.splitext(path)[0]), self._full(path), right)

    def _of_videos(self) -> Iterator[list[Frame]]:
        broken = []  # all are reported at once, since decoding takes a while
        for video in self.tree.videos:
            if self.video_cameras.is_left(video):
                try:
                    yield self._of_video(video)
                except UserError as error:
                    broken.append(str(error))
        if broken:
            raise UserError("\n".join(broken))

    def _of_video(self, video: str) -> list[Frame]:
        left = video_frames(self.root, video, self.every)
        id_ = frame_id(video)
        if not self.video_cameras.right:
            return [Frame(f"{id_}/{number:06d}", left.path(number)) for number in left.numbers()]
        partner = self.video_cameras.partner(video)
        if partner not in self.tree.videos:
            self.found["alone"].append(f"{video} (there is no {partner})")
            return []
        right = video_frames(self.root, partner, self.every)
        both = min(left.count, right.count)
        if left.count != right.count:
            self.found["alone"].append(f"{video} or {partner} from frame {both} on")
        numbers = range(0, both, self.every)
        return [Frame(f"{id_}/{number:06d}", left.path(number), right.path(number)) for number in numbers]

    def _remarks(self, found: list[list[Frame]], pairs: int) -> Iterator[str]:
        used = [frames for frames in found if len(frames) > self.stride]
        values = [f"{name} {self.options[name]}" for name in ("every", "stride") if self.options[name] != "1"]
        chosen = f" ({', '.join(values)})" if values else ""
        frames = many(sum(map(len, used)), "frame")
        yield f"{many(pairs, 'pair')} in {many(len(used), 'sequence')} of {frames}{chosen} in {self.root}"
        if unused := [frame.path for frames in found for frame in _unused(frames, self.stride)]:
            yield f"{many(len(unused), 'frame')} not part of any pair: {few(unused)}"
        for what, remark in _REMARKS.items():
            if names := self.found[what]:
                yield remark.format(places=many(len(names), "place"), names=few(names))
        if other := self._other_cameras():
            yield f"{many(len(other), 'file')} without {self.options['left']!r} in the path left out: {few(other)}"

    def _other_cameras(self) -> list[str]:
        """Return the files that belong to neither camera."""
        return [
            path
            for cameras, paths in ((self.cameras, self.files), (self.video_cameras, self.tree.videos))
            for path in paths
            if not cameras.is_left(path) and not cameras.is_right(path)
        ]

    def _nothing(self, found: list[list[Frame]]) -> str:
        """Return the message for a folder without any pair."""
        if found:
            frames = [frame.path for sequence in found for frame in sequence]
            return (
                f"{self.root} contains {many(len(frames), 'frame')}, but no pair: {few(frames)}. A sequence is a "
                "video, or the images of one folder whose names differ only in the frame number (frame_0001.png, "
                "frame_0002.png) and which have the same size; "
                f"with every {self.every} and stride {self.stride} (options) the "
                f"shortest sequence that has a pair has {self.every * self.stride + 1} frames."
            )
        other = self._other_cameras()
        if other:
            return (
                f"{self.root} contains {many(len(other), 'image or video', 'images and videos')}, but none with "
                f"{self.options['left']!r} in its path (options.left): {few(other)}."
            )
        passed = f" Skipped, labels or predictions according to their names: {few(self.tree.passed_over)}."
        return (
            f"{self.root} contains no images or videos, but {contents(self.root)}."
            f"{passed if self.tree.passed_over else ''} Set the folder of your frames (png, jpg, webp, bmp, tif, ppm, "
            "...) or videos (mp4, mkv, mov, avi, webm, ...) with --data.init_args.root DIR or DATA_ROOT=DIR."
        )

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root


def _unused(frames: Sequence[Frame], stride: int) -> list[Frame]:
    """Return the frames of a sequence that are neither t0 nor t1 of a pair."""
    return [frame for place, frame in enumerate(frames) if place < stride and place + stride >= len(frames)]


def _inspected(inspect: Callable[[str], Result], path: str) -> Result | None:
    """Return what the header of an image says; None for a damaged one."""
    try:
        return inspect(path)
    except FormatError:
        return None


def _sides(size: tuple[int, int] | None) -> str:
    return "unknown" if size is None else f"{size[0]}x{size[1]}"
