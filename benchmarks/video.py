"""Frames of a video in random order, as in training: seeking in the video against PNG files extracted once.

    python benchmarks/video.py [--frames 200] [--draws 60] [--size 375x1242] [--video FILE]

OpenCV encodes a pan over a rendered image as MPEG-4, with a key frame every 12 frames. `--video` uses a file of your
own instead, such as one of x264, whose default is a key frame every 250. Alternately, in one process:

    seek     cv2.VideoCapture, which stays open: set CAP_PROP_POS_FRAMES, read
    PNG      read_any_image of the file written by `flowdistill.data.video`

Prints milliseconds of CPU time per frame (median and range of repeats), their ratio, how many seeks returned another
frame than decoding in order, and the one-time cost of writing the PNG files, in time and space.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.cli.data_sets import parse_size
from flowdistill.data.video import VideoFrames, video_frames
from flowdistill.formats import read_any_image
from flowdistill.render import render_scene

Picture = npt.NDArray[np.uint8]
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=200, help="frames of the video (default: 200)")
    parser.add_argument("--draws", type=int, default=60, help="frames per repeat (default: 60)")
    parser.add_argument("--size", type=parse_size, default=(375, 1242), help="HxW (default: 375x1242)")
    parser.add_argument("--video", type=Path, help="a video of your own")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.video is not None:
            Path(folder, args.video.name).symlink_to(args.video.resolve())
            report(folder, args.video.name, args.video.name, args.draws)
            return
        scene = next(iter(render_scene(0, 0, 2, (args.size[0], args.size[1] + args.frames))))
        encode(f"{folder}/pan.mp4", scene.left_t0, args.frames)
        report(folder, "MPEG-4, key frame every 12", "pan.mp4", args.draws)


def encode(path: str, wide: Picture, frames: int) -> None:
    """Write a camera pan over a wide image by one pixel per frame, with sensor noise."""
    height, width = wide.shape[0], wide.shape[1] - frames
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 30, (width, height))
    rng = np.random.default_rng(0)
    for number in range(frames):
        noisy = wide[:, number : number + width] + rng.normal(0, 2, (height, width, 3))
        writer.write(np.ascontiguousarray(noisy.clip(0, 255).astype(np.uint8)[..., ::-1]))
    writer.release()


def report(folder: str, title: str, name: str, draws: int) -> None:
    start = time.process_time()
    frames = video_frames(folder, name)
    making = time.process_time() - start
    size = sum(os.path.getsize(frames.path(number)) for number in frames.numbers())
    capture = cv2.VideoCapture(f"{folder}/{name}", cv2.CAP_FFMPEG)

    def seek(number: int) -> Picture | None:
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        found, frame = capture.read()
        return np.asarray(frame[..., ::-1], np.uint8) if found else None

    def png(number: int) -> Picture:
        return read_any_image(frames.path(number))

    order = [random.Random(0).randrange(frames.count) for _ in range(draws)]
    jobs: dict[str, Callable[[int], Picture | None]] = {"seek": seek, "PNG": png}
    spent: dict[str, list[float]] = {job: [] for job in jobs}
    for _ in range(REPEATS):
        for job, read in jobs.items():
            start = time.process_time()
            for number in order:
                read(number)
            spent[job].append(1000 * (time.process_time() - start) / draws)
    ratio = statistics.median(a / b for a, b in zip(spent["seek"], spent["PNG"], strict=True))
    print(f"{title}: {frames.count} frames")
    for job, values in spent.items():
        print(
            f"  {job:<5} {statistics.median(values):8.1f} ms per frame ({min(values):.1f}..{max(values):.1f})"
        )
    print(f"  seek / PNG {ratio:.1f}; other frames than in order: {_wrong(seek, frames, order)} of {draws}")
    made = f"{1000 * making / frames.count:.1f} ms and {size / frames.count / 1e6:.2f} MB per frame"
    print(
        f"  PNG files written once: {made}; the video has {os.path.getsize(f'{folder}/{name}') / 1e6:.1f} MB"
    )


def _wrong(seek: Callable[[int], Picture | None], frames: VideoFrames, order: list[int]) -> int:
    found = ((seek(number), read_any_image(frames.path(number))) for number in order)
    return sum(frame is None or not np.array_equal(frame, true) for frame, true in found)


if __name__ == "__main__":
    main()
