"""Frames of videos, as PNG files that are made once.

Training draws frames in random order, and a frame in the middle of a video takes decoding from the key frame before it:
with 250 frames between key frames that costs many times the reading of a PNG (benchmarks/video.py). OpenCV's seeking
is also inexact where frames do not follow each other at one rate. So a video is decoded once, from its start to its
end, when a run first scans its folder; frame k is what decoding in order gives as the k-th, from 0.

The frames of DIR/a/clip.mp4 lie in DIR/.flowdistill/video/a/clip.mp4/000000.png (or below the user's cache, where DIR
cannot be written); `frames.json` there, written last, holds the size and the time of change of the video. Every file is
written atomically and a lock keeps a second process waiting, so that any number of runs and ranks may open the same
folder, and an interrupted one leaves nothing that is taken for whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flowdistill.data.notes import note
from flowdistill.data.scan_cache import cache_places
from flowdistill.data.tree import listing, many
from flowdistill.data.video_decoder import decode_video
from flowdistill.errors import UserError
from flowdistill.formats import FormatError, write_atomically, write_image

_VERSION = 1
_MANIFEST = "frames.json"


@dataclass(frozen=True)
class VideoFrames:
    """The decoded frames of a video: PNG files of a folder.

    Attributes:
        folder: of the files.
        count: of all frames of the video.
        every: the step between the frames that are asked for, from frame 0 on.
        remark: what is odd about the video, "" if nothing is.
    """

    folder: str
    count: int
    every: int
    remark: str

    def path(self, number: int) -> str:
        """The file of a frame."""
        return f"{self.folder}/{_name(number)}"

    def numbers(self) -> range:
        """The frames that are asked for."""
        return range(0, self.count, self.every)


def video_frames(root: str, video: str, every: int = 1) -> VideoFrames:
    """The frames of a video, decoded now unless they are there; a note says which.

    Args:
        root: the data folder.
        video: path below it.
        every: the step between the frames that are needed, from frame 0 on.

    Raises:
        UserError: the video cannot be decoded or ends early, or its frames cannot be kept (no space, no folder).
    """
    path = f"{root}/{video}"
    if not os.access(path, os.R_OK):
        raise UserError(f"{path}: this video cannot be read. Make the file readable, or move it away.")
    places = [str(place / video) for place in cache_places(root, "video")]
    for place in places:
        if (frames := _kept(place, path, every)) is not None:
            return _told(path, frames, "decoded before")
    chosen = next((place for place in places if _can_write(place)), None)
    if chosen is None:
        raise UserError(
            f"{path}: its frames are kept as PNG files, but neither {' nor '.join(places)} can be written. Make the "
            "data folder writable, or name another place by `export XDG_CACHE_HOME=DIR`."
        )
    with _locked(chosen, path):
        # Another process may have made them while this one waited.
        if (frames := _kept(chosen, path, every)) is not None:
            return _told(path, frames, "decoded by another process")
        frames = _decode_into(chosen, path, every)
    size = sum(os.path.getsize(frames.path(number)) for number in frames.numbers())
    return _told(path, frames, f"decoded now, {_size_words(size)} of PNG files")


def _decode_into(place: str, path: str, every: int) -> VideoFrames:
    status = os.stat(path)
    manifest = _manifest(place, path)
    if manifest is None:
        # Of another state of the video, or of an interrupted run.
        shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place, exist_ok=True)

    def keep(number: int, image: npt.NDArray[np.uint8], announced: int) -> None:
        file = f"{place}/{_name(number)}"
        if manifest is None or not os.path.exists(file):
            write_image(file, image)
        if number == 0:
            _require_space(place, os.path.getsize(file) * -(-announced // every))

    try:
        decoded = decode_video(path, every, keep)
        steps = sorted({every, *(manifest["every"] if manifest else ())})
        video = {"version": _VERSION, "size": status.st_size, "changed": status.st_mtime_ns}
        content = {**video, "count": decoded.count, "remark": decoded.remark, "every": steps}
        write_atomically(f"{place}/{_MANIFEST}", json.dumps(content).encode())
    except UserError as error:
        if manifest is None:
            shutil.rmtree(place, ignore_errors=True)  # a full disk stays full with half a video on it
        if isinstance(error, FormatError):
            raise UserError(
                f"{path}: its frames cannot be kept as PNG files: {error}. Free some space, name another place by "
                "`export XDG_CACHE_HOME=DIR` where the data folder cannot be written, or take fewer frames by "
                "--data.init_args.options.every K."
            ) from error
        raise
    return VideoFrames(place, decoded.count, every, decoded.remark)


def _kept(place: str, path: str, every: int) -> VideoFrames | None:
    """The frames that are there, if they are all there and the video has not changed since."""
    manifest = _manifest(place, path)
    if manifest is None or not any(every % step == 0 for step in manifest["every"]):
        return None
    frames = VideoFrames(place, manifest["count"], every, manifest["remark"])
    there = listing(place)
    return frames if all(_name(number) in there for number in frames.numbers()) else None


def _manifest(place: str, path: str) -> dict[str, Any] | None:
    """What is known of the frames in a folder; None if it is nothing, or of another state of the video."""
    try:
        manifest = json.loads(Path(place, _MANIFEST).read_bytes())
        status = os.stat(path)
        expected = [_VERSION, status.st_size, status.st_mtime_ns]
        same = [manifest["version"], manifest["size"], manifest["changed"]] == expected
        whole = manifest["count"] > 0 and min(manifest["every"]) > 0 and isinstance(manifest["remark"], str)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return manifest if same and whole else None


def _require_space(place: str, needed: int) -> None:
    free = shutil.disk_usage(place).free
    if needed > free:
        raise FormatError(
            f"{place}: about {_size_words(needed)} are needed, and {_size_words(free)} are free"
        )


def _can_write(place: str) -> bool:
    try:
        os.makedirs(place, exist_ok=True)
    except OSError:
        return False
    return os.access(place, os.W_OK | os.X_OK)


@contextmanager
def _locked(place: str, path: str) -> Iterator[None]:
    """One process at a time fills a folder; on a disk without locks several may, each file still whole."""
    with open(f"{place}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"{path}: another process is decoding it; waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass
        yield  # closing the file gives the lock back, and so does the end of the process


def _told(path: str, frames: VideoFrames, how: str) -> VideoFrames:
    remark = f". Look at it: {frames.remark}" if frames.remark else ""
    note(f"{path}: {many(frames.count, 'frame')}, {how} (in {frames.folder}){remark}")
    return frames


def _name(number: int) -> str:
    return f"{number:06d}.png"


def _size_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
