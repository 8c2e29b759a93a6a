"""Decoding of a whole video, with detection of missing and damaged frames.

OpenCV's reader does not distinguish the end of a video from a frame that it cannot decode, and conceals damaged frames
without reporting it. Damage is detected from the number of frames and the duration given in the header, the time stamps
of the frames, and the decoder's messages on stderr, which are captured here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from flowdistill.errors import UserError

Keep = Callable[[int, npt.NDArray[np.uint8], int], None]

_ADVICE = (
    "Copy the file again, keep its readable part (ffmpeg -i IN -c:v libx264 -crf 10 OUT.mp4), or move it out of the "
    "data folder."
)
# The duration in the header is rarely exact: for trimmed files it includes the removed part.
_LEAST_SHARE = 0.9
_MOST_FRAMES = 10**8  # larger numbers in a header are ignored as implausible


def decode_video(path: str, every: int, keep: Keep, progress: bool = True) -> tuple[int, str]:
    """Decode a video from start to end; returns the number of its frames, and anything unusual about it, or "".

    Args:
        path: of the video.
        every: step between the frames that are kept, starting at frame 0.
        keep: called with the frame number, the image (H, W, 3) uint8 RGB, rotated according to the rotation flag, and
            the number of frames in the header (an estimate for many formats; 0 if unknown).
        progress: whether a bar is shown.

    Raises:
        UserError: if the video cannot be decoded or frames are missing (with their numbers), or from `keep`.
    """
    with _caught_stderr() as (messages, stderr):
        # With an explicit backend; otherwise OpenCV also tries its reader of numbered images.
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise UserError(f"{path}: not a video that OpenCV can open{_said(messages())}. {_ADVICE}")
            return _decode(path, capture, every, keep, messages, stderr if progress else None)
        finally:
            capture.release()


def _decode(
    path: str,
    capture: cv2.VideoCapture,
    every: int,
    keep: Keep,
    messages: Callable[[], str],
    stderr: TextIO | None,
) -> tuple[int, str]:
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    number, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    announced = int(number) if 0 < number < _MOST_FRAMES else 0
    count, last, step = 0, 0.0, 0.0  # times in ms
    complaint: tuple[int, str] | None = None
    title = f"decoding {os.path.basename(path)}"
    hidden = stderr is None
    with tqdm(
        desc=title, total=announced or None, unit="frame", delay=2, file=stderr, disable=hidden
    ) as progress:
        while capture.grab():
            now = capture.get(cv2.CAP_PROP_POS_MSEC)
            last, step = now, now - last
            if count % every == 0:
                decoded, frame = capture.retrieve()
                if not decoded or frame is None or frame.ndim != 3:
                    said = _said(messages())
                    raise UserError(f"{path}: frame {count} cannot be decoded{said}. {_ADVICE}")
                keep(count, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), announced)
            if complaint is None and (text := messages()):
                complaint = count, text
            count += 1
            progress.update()
    if complaint is None and (text := messages()):
        complaint = count, text
    announced_end = 1000 * announced / rate if rate > 0 else 0.0
    return count, _judge(path, count, announced, last + step, announced_end, complaint)


def _judge(
    path: str, count: int, announced: int, end: float, announced_end: float, complaint: tuple[int, str] | None
) -> str:
    """Return anything unusual about a video of `count` decoded frames, the last of which ends at `end` ms, or "".

    Raises:
        UserError: if frames are missing.
    """
    said = "" if complaint is None else _said(complaint[1])
    if count == 0:
        raise UserError(f"{path}: none of its frames can be decoded{said}. {_ADVICE}")
    # For variable frame rates the announced number is the duration times a nominal rate, so the time is compared.
    if count < announced and (complaint is not None or end < _LEAST_SHARE * announced_end):
        where = f" at frame {complaint[0]} or just after it" if complaint and complaint[0] < count else ""
        raise UserError(
            f"{path}: broken or cut off{where}: {count} of {announced} frames could be decoded, the last one is frame "
            f"{count - 1}{said}. {_ADVICE}"
        )
    if complaint is not None:
        return (
            f"the decoder reports an error at frame {min(complaint[0], count - 1)}{said}; images from about there to "
            "the next key frame may be damaged"
        )
    # A tolerance of two frames, because durations are rounded.
    if count < announced and end < announced_end * (1 - 2 / announced):
        return f"the file announces {announced} frames"
    return ""


@contextmanager
def _caught_stderr() -> Iterator[tuple[Callable[[], str], TextIO]]:
    """Capture the output of FFmpeg's threads on stderr, the only place where damage is reported.

    Yields a function that returns the text so far, and the original stream.
    """
    with os.fdopen(os.dup(2), "w") as stderr, tempfile.TemporaryFile() as file:

        def messages() -> str:
            size = os.fstat(file.fileno()).st_size
            return os.pread(file.fileno(), min(size, 10_000), 0).decode(errors="replace") if size else ""

        os.dup2(file.fileno(), 2)
        try:
            yield messages, stderr
        finally:
            os.dup2(stderr.fileno(), 2)


def _said(messages: str) -> str:
    """Return the first line of the decoder's messages, without addresses."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    if not lines:
        return ""
    tag, _, text = lines[0].rpartition("] ")
    return f" ({tag.lstrip('[').split(' @ ')[0]}: {text})" if tag else f" ({text})"
