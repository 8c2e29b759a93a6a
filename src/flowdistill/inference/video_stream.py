"""The frames of a video one after the other, decoded by a process of its own, without a file per frame.

image   # (H, W, 3) uint8 RGB
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator
from multiprocessing.queues import Queue
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from flowdistill.data.notes import note
from flowdistill.data.video_decoder import decode_video
from flowdistill.errors import UserError
from flowdistill.processes import start_worker

AHEAD = 4  # frames that are decoded before they are needed
_FRAME, _END, _REFUSED = "frame", "end", "refused"


def frame_rate(path: str) -> float:
    """Return the frames per second in a video's header, 0 if unknown."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    try:
        rate = float(capture.get(cv2.CAP_PROP_FPS)) if capture.isOpened() else 0.0
    finally:
        capture.release()
    return rate if 0 < rate < 1e4 else 0.0


def frame_count(path: str, every: int) -> int | None:
    """Return the number of frames that `frames` will give according to the header; None if unknown."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    try:
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()
    return -(-count // every) if 0 < count < 10**8 else None


def frames(path: str, every: int = 1) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield the number and image of every `every`-th frame.

    Raises:
        UserError: the video cannot be decoded, or is cut off: after the frames that could be.
    """
    # Spawned: a fork would copy the state of the caller's threads.
    context = multiprocessing.get_context("spawn")
    found: Queue[tuple[str, Any]] = context.Queue(AHEAD)
    process = context.Process(target=_decode, args=(path, every, found, os.getpid()), daemon=True)
    process.start()
    try:
        while True:
            try:
                kind, content = found.get(timeout=1)
            except queue.Empty:
                if process.is_alive():
                    continue
                raise UserError(
                    f"{path}: the process that decodes it ended with code {process.exitcode}; it was killed, or "
                    "memory is exhausted"
                ) from None
            if kind == _REFUSED:
                raise UserError(content)
            if kind == _END:
                if content:
                    note(f"{path}: {content}")
                return
            yield content
    finally:
        process.terminate()
        process.join()
        found.close()


def _decode(path: str, every: int, found: Queue[tuple[str, Any]], parent: int) -> None:
    start_worker(parent)
    # Ctrl-C reaches the whole group; the parent ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # By default a lock between processes, which would be reported as leaked when this process is ended.
    tqdm.set_lock(threading.RLock())
    try:
        _, unusual = decode_video(
            path, every, lambda number, image, _: found.put((_FRAME, (number, image))), progress=False
        )
    except UserError as error:
        found.put((_REFUSED, str(error)))
    else:
        found.put((_END, unusual))
