"""Video frames, decoded once and stored as PNG files.

Training reads frames in random order, and a frame in the middle of a video has to be decoded from the preceding key
frame: with 250 frames between key frames this costs many times the reading of a PNG (benchmarks/video.py). OpenCV's
seeking is also inexact for variable frame rates. Therefore a video is decoded once, from start to end, when a run first
scans its folder; frame k is the k-th decoded frame, counted from 0.

The frames of DIR/a/clip.mp4 are stored in DIR/.flowdistill/video/a/clip.mp4/000000.png (or below the user's cache if
DIR is not writable); `frames.json` there, written last, contains the size and modification time of the video. Files
are written atomically and a lock makes other processes wait, so that any number of runs and ranks can open the same
folder, and an interrupted run leaves nothing that could be taken for complete.
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
        count: number of all frames of the video.
        every: step between the requested frames, starting at frame 0.
        remark: anything unusual about the video, or "".
    """

    folder: str
    count: int
    every: int
    remark: str

    def path(self, number: int) -> str:
        """Return the file of a frame."""
        return f"{self.folder}/{_name(number)}"

    def numbers(self) -> range:
        """Return the requested frames."""
        return range(0, self.count, self.every)


def video_frames(root: str, video: str, every: int = 1) -> VideoFrames:
    """Return the frames of a video, decoding it unless that was done before; prints a note in either case.

    Args:
        root: the data folder.
        video: path below it.
        every: step between the requested frames, starting at frame 0.

    Raises:
        UserError: if the video cannot be decoded or ends early, or its frames cannot be stored (no space, no folder).
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
            f"{path}: its frames are stored as PNG files, but neither {' nor '.join(places)} can be written. Make the "
            "data folder writable, or set another place with `export XDG_CACHE_HOME=DIR`."
        )
    with _locked(chosen, path):
        # Another process may have decoded the video while this one waited.
        if (frames := _kept(chosen, path, every)) is not None:
            return _told(path, frames, "decoded by another process")
        frames = _decode_into(chosen, path, every)
    size = sum(os.path.getsize(frames.path(number)) for number in frames.numbers())
    return _told(path, frames, f"decoded now, {_size_words(size)} of PNG files")


def _decode_into(place: str, path: str, every: int) -> VideoFrames:
    status = os.stat(path)
    manifest = _manifest(place, path)
    if manifest is None:
        # Left by another version of the video or by an interrupted run.
        shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place, exist_ok=True)

    def keep(number: int, image: npt.NDArray[np.uint8], announced: int) -> None:
        file = f"{place}/{_name(number)}"
        if manifest is None or not os.path.exists(file):
            write_image(file, image)
        if number == 0:
            _require_space(place, os.path.getsize(file) * -(-announced // every))

    try:
        count, remark = decode_video(path, every, keep)
        steps = sorted({every, *(manifest["every"] if manifest else ())})
        video = {"version": _VERSION, "size": status.st_size, "changed": status.st_mtime_ns}
        content = {**video, "count": count, "remark": remark, "every": steps}
        write_atomically(f"{place}/{_MANIFEST}", json.dumps(content).encode())
    except UserError as error:
        if manifest is None:
            shutil.rmtree(place, ignore_errors=True)  # an incomplete video would keep a full disk full
        if isinstance(error, FormatError):
            raise UserError(
                f"{path}: its frames cannot be stored as PNG files: {error}. Free some space, set another place with "
                "`export XDG_CACHE_HOME=DIR` if the data folder is not writable, or use fewer frames with "
                "--data.init_args.options.every K."
            ) from error
        raise
    return VideoFrames(place, count, every, remark)


def _kept(place: str, path: str, every: int) -> VideoFrames | None:
    """Return the stored frames if they are complete and the video has not changed since."""
    manifest = _manifest(place, path)
    if manifest is None or not any(every % step == 0 for step in manifest["every"]):
        return None
    frames = VideoFrames(place, manifest["count"], every, manifest["remark"])
    there = listing(place)
    return frames if all(_name(number) in there for number in frames.numbers()) else None


def _manifest(place: str, path: str) -> dict[str, Any] | None:
    """Return the manifest of the frames in a folder; None if it is missing, invalid or out of date."""
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
    """Let only one process at a time write to a folder; without file locks several may, but each file is complete."""
    with open(f"{place}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"{path}: another process is decoding it; waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass
        yield  # closing the file releases the lock, and so does the end of the process


def _told(path: str, frames: VideoFrames, how: str) -> VideoFrames:
    remark = f". Look at it: {frames.remark}" if frames.remark else ""
    note(f"{path}: {many(frames.count, 'frame')}, {how} (in {frames.folder}){remark}")
    return frames


def _name(number: int) -> str:
    return f"{number:06d}.png"


def _size_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
