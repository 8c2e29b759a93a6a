"""Decoding a video from its start to its end, and what the decoder has to say about it.

OpenCV's reader does not tell the end of a video from a frame that it cannot decode, and repairs damaged frames without
a word to its caller. Three things tell: the number of frames and the duration that the file announces, the time stamps
of its frames, and the decoder's messages on stderr, which are caught here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from flowdistill.errors import UserError

Keep = Callable[[int, npt.NDArray[np.uint8], int], None]

_ADVICE = (
    "Copy the file again; or save what can be read (ffmpeg -i IN -c:v libx264 -crf 10 OUT.mp4), or move it out of the "
    "data folder."
)
# A duration in the header is rarely exact: trimmed files announce what was cut off, too.
_LEAST_SHARE = 0.9
_MOST_FRAMES = 10**8  # a larger announced number is not believed


@dataclass(frozen=True)
class Decoded:
    """A video that was decoded to its end.

    Attributes:
        count: of its frames.
        remark: what is odd about it, "" if nothing is.
    """

    count: int
    remark: str


def decode_video(path: str, every: int, keep: Keep) -> Decoded:
    """Decode a video from its start to its end.

    Args:
        path: of the video.
        every: the step between the frames that are kept, from frame 0 on.
        keep: takes the number, the picture (H, W, 3) uint8 RGB, turned as the rotation flag says, and how many frames
            the video says it has (an estimate for many kinds of file; 0: it says nothing).

    Raises:
        UserError: it cannot be decoded, or frames are missing (their numbers are said); and what `keep` raises.
    """
    with _caught_stderr() as caught:
        # By name, or OpenCV tries its readers of numbered images, too.
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise UserError(
                    f"{path}: not a video that OpenCV can open{_said(caught.messages())}. {_ADVICE}"
                )
            return _decode(path, capture, every, keep, caught)
        finally:
            capture.release()


def _decode(path: str, capture: cv2.VideoCapture, every: int, keep: Keep, caught: _Caught) -> Decoded:
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    number, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    announced = int(number) if 0 < number < _MOST_FRAMES else 0
    count, last, step = 0, 0.0, 0.0  # times in ms
    complaint: tuple[int, str] | None = None
    title = f"decoding {os.path.basename(path)}"
    with tqdm(desc=title, total=announced or None, unit="frame", delay=2, file=caught.stderr) as progress:
        while capture.grab():
            now = capture.get(cv2.CAP_PROP_POS_MSEC)
            last, step = now, now - last
            if count % every == 0:
                decoded, frame = capture.retrieve()
                if not decoded or frame is None or frame.ndim != 3:
                    said = _said(caught.messages())
                    raise UserError(f"{path}: frame {count} cannot be decoded{said}. {_ADVICE}")
                keep(count, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), announced)
            if complaint is None and (text := caught.messages()):
                complaint = count, text
            count += 1
            progress.update()
    if complaint is None and (text := caught.messages()):
        complaint = count, text
    announced_end = 1000 * announced / rate if rate > 0 else 0.0
    return Decoded(count, _judge(path, count, announced, last + step, announced_end, complaint))


def _judge(
    path: str, count: int, announced: int, end: float, announced_end: float, complaint: tuple[int, str] | None
) -> str:
    """What is odd about a video that gave `count` frames, the last of which ends at `end` ms; "" if nothing is.

    Raises:
        UserError: frames are missing.
    """
    said = "" if complaint is None else _said(complaint[1])
    if count == 0:
        raise UserError(f"{path}: not one frame of it can be decoded{said}. {_ADVICE}")
    # Where frames do not come at one rate, the announced number is the duration times some rate: time decides.
    if count < announced and (complaint is not None or end < _LEAST_SHARE * announced_end):
        where = f" at frame {complaint[0]} or just after it" if complaint and complaint[0] < count else ""
        raise UserError(
            f"{path}: broken or cut off{where}: {count} of {announced} frames could be decoded, the last one is frame "
            f"{count - 1}{said}. {_ADVICE}"
        )
    if complaint is not None:
        return (
            f"the decoder complains at frame {min(complaint[0], count - 1)}{said}; from about there to the next key "
            "frame pictures may be damaged"
        )
    # Two frames of time: durations are rounded.
    if count < announced and end < announced_end * (1 - 2 / announced):
        return f"the file announces {announced} frames"
    return ""


class _Caught:
    """What was written to stderr since it was caught, and the stream that it would have gone to."""

    def __init__(self, descriptor: int, stderr: TextIO) -> None:
        self._descriptor = descriptor
        self.stderr = stderr

    def messages(self) -> str:
        size = os.fstat(self._descriptor).st_size
        return os.pread(self._descriptor, min(size, 10_000), 0).decode(errors="replace") if size else ""


@contextmanager
def _caught_stderr() -> Iterator[_Caught]:
    """Catch what FFmpeg's threads write to stderr meanwhile: it reports damage in no other way."""
    with os.fdopen(os.dup(2), "w") as stderr, tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield _Caught(file.fileno(), stderr)
        finally:
            os.dup2(stderr.fileno(), 2)


def _said(messages: str) -> str:
    """The first line of what the decoder wrote, without addresses."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    if not lines:
        return ""
    tag, _, text = lines[0].rpartition("] ")
    return f" ({tag.lstrip('[').split(' @ ')[0]}: {text})" if tag else f" ({text})"
