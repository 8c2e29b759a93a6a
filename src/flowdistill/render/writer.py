"""Writes rendered scenes in the layout of a benchmark, with several processes."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.processes import start_worker
from flowdistill.render.layouts import LAYOUTS
from flowdistill.render.request import Request
from flowdistill.render.sequence import render_scene
from flowdistill.render.summary import Summary

__all__ = ["Request", "prepare_folder", "write_dataset", "write_scene"]


def write_dataset(
    output: str | os.PathLike[str], layout: str, request: Request, workers: int = 1
) -> tuple[Summary, float]:
    """Render all scenes into the folder `output`; the files do not depend on the number of worker processes.

    Args:
        output: a new or empty folder.
        layout: a key of `LAYOUTS`.

    Returns the summary, including scenes without labels, and the elapsed seconds.

    Raises:
        UserError: if the layout is unknown or does not support the request, the folder is not empty or cannot be
            created, or there is fewer than one worker.
    """
    if layout not in LAYOUTS:
        raise UserError(f"layout is {layout!r}; it must be one of {', '.join(LAYOUTS)}")
    LAYOUTS[layout].check(request)
    if workers < 1:
        raise UserError(f"workers is {workers}; use at least 1 process")
    root = prepare_folder(Path(output))
    total, start = Summary.empty(), time.perf_counter()
    with tqdm(total=request.all_scenes * request.pairs, unit="sample", desc="render") as bar:
        for summary in _summaries(root, layout, request, min(workers, request.all_scenes)):
            total.add(summary)
            bar.update(summary.samples)
    for name, text in LAYOUTS[layout].files_of_the_whole(request).items():
        write_atomically(root / name, text.encode())
    return total, time.perf_counter() - start


def prepare_folder(output: Path) -> Path:
    """Create the output folder, or check that it is empty, and return it."""
    try:
        if output.is_dir() and any(output.iterdir()):
            raise UserError(
                f"{output}: the folder is not empty; choose a new one, nothing is ever overwritten"
            )
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output}: cannot make the folder ({error.strerror or error})") from error
    return output


def _summaries(root: Path, layout: str, request: Request, workers: int) -> Iterator[Summary]:
    write = partial(write_scene, root, layout, request)
    if workers == 1:
        yield from map(write, range(request.all_scenes))
        return
    # "spawn", since a fork would copy the state of OpenCV's and the caller's threads.
    with multiprocessing.get_context("spawn").Pool(workers, start_worker, (os.getpid(),)) as pool:
        yield from pool.imap_unordered(write, range(request.all_scenes))


def write_scene(root: Path, layout: str, request: Request, scene: int) -> Summary:
    """Render one scene into the existing folder `root`."""
    summary = Summary.empty()
    for number, frame in enumerate(
        render_scene(request.seed, scene, request.frames, request.size, request.stride, request.world)
    ):
        LAYOUTS[layout].write_pair(root, request, scene, number, frame)
        summary.count(frame)
    return summary
