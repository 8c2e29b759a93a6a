"""What `flowdistill infer` reads: image files, a folder, a list or a video, as a stream of samples.

a pair            two images, or more in the order of time (a shell's *.png): every two that follow each other
stereo            left_t0 right_t0 left_t1 right_t1, four images
a folder          sequences of frames and videos below it, as `dataset: folder` finds them
a list (.txt)     two or four paths a line, relative to the list's folder, and optionally a name
a video           its frames

images            # key -> (H, W, 3) uint8 RGB
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from flowdistill.data.folder import FolderDataset
from flowdistill.data.folder_scan import scan_folder
from flowdistill.data.folder_walk import VIDEO_SUFFIXES
from flowdistill.errors import UserError
from flowdistill.formats import IMAGE_SUFFIXES, read_any_image
from flowdistill.inference import video_stream

Images = dict[str, npt.NDArray[np.uint8]]
LIST_SUFFIX = ".txt"
# Folders that common data sets have for the two cameras, tried if --left and --right are not given.
CAMERAS = (("left", "right"), ("image_2", "image_3"), ("image_02", "image_03"), ("colored_0", "colored_1"))


@dataclass(frozen=True)
class Sample:
    """The images of a prediction and the name of its files."""

    name: str
    images: Images


@dataclass(frozen=True)
class Source:
    """Samples in order, their number if known, and the frame rate of a video."""

    samples: Iterator[Sample]
    count: int | None
    rate: float | None = None


@dataclass(frozen=True)
class Reading:
    """How folders and videos are read: frames 0, every, 2 * every, ...; t1 is the `stride`-th of these after t0."""

    every: int = 1
    stride: int = 1
    left: str = ""
    right: str = ""


def open_inputs(paths: list[Path], names: tuple[str, ...], reading: Reading) -> Source:
    """Open the inputs for a network that takes the images `names`, two or four.

    Raises:
        UserError: a path is missing, or the inputs do not fit the network.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist (looked from {Path.cwd()})")
    stereo = len(names) == 4
    if len(paths) > 1:
        return _of_images(paths, names, reading)
    (path,) = paths
    suffix = path.suffix.lower()
    if path.is_dir():
        return _of_folder(path, names, reading)
    if suffix == LIST_SUFFIX:
        return _of_list(path, names)
    if suffix in VIDEO_SUFFIXES:
        if stereo:
            raise UserError(
                f"{path}: DWARF needs two cameras. Put both videos into one folder and give that folder with --left "
                "and --right, parts of their paths"
            )
        return _of_video(path, reading)
    if suffix in IMAGE_SUFFIXES:
        raise UserError(f"{path} is a single image; this network takes {len(names)}: {', '.join(names)}")
    raise UserError(f"{path}: give {', '.join(names)}, a folder, a list ({LIST_SUFFIX}) or a video")


def _of_images(paths: list[Path], names: tuple[str, ...], reading: Reading) -> Source:
    for path in paths:
        if path.is_dir() or path.suffix.lower() not in IMAGE_SUFFIXES:
            raise UserError(
                f"{path}: of several inputs each must be an image; give a folder or a video alone"
            )
    if len(names) == 4 and len(paths) != 4:
        raise UserError(f"DWARF takes four images, {', '.join(names)}; got {len(paths)}")
    if len(names) == 4:
        return _of_files([(paths[0].stem, tuple(paths))], names)
    frames = paths[:: reading.every]
    if len(frames) <= reading.stride:
        raise UserError(
            f"{len(paths)} images give no pair with every {reading.every}, stride {reading.stride}"
        )
    pairs = [
        (first.stem, (first, second)) for first, second in zip(frames, frames[reading.stride :], strict=False)
    ]
    return _of_files(pairs, names)


def _of_folder(folder: Path, names: tuple[str, ...], reading: Reading) -> Source:
    left, right = reading.left, reading.right
    if len(names) == 4 and not (left or right):
        left, right = next(
            (pair for pair in CAMERAS if all((folder / part).is_dir() for part in pair)), (left, right)
        )
    options = FolderDataset.chosen_options(
        {"every": reading.every, "stride": reading.stride, "left": left, "right": right}
    )
    if len(names) == 4 and not right:
        known = ", ".join("/".join(pair) for pair in CAMERAS)
        raise UserError(
            f"{folder}: it is not known which files are the right camera's: give --left and --right, the parts of the "
            f"paths that distinguish the cameras (found without them: sub-folders {known})"
        )
    entries = scan_folder(FolderDataset.find_root(folder, options), options)
    samples = []
    for entry in entries:
        left_t0, left_t1, *others = map(Path, entry.frames)
        files = (left_t0, others[0], left_t1, others[1]) if len(names) == 4 else (left_t0, left_t1)
        samples.append((entry.id, files))
    return _of_files(samples, names)


def _of_list(path: Path, names: tuple[str, ...]) -> Source:
    samples: list[tuple[str, tuple[Path, ...]]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of paths: {error}") from error
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{path}:{number}"
        if len(words) not in (len(names), len(names) + 1):
            raise UserError(
                f"{where}: {len(words)} words; a line is {', '.join(names)} and optionally a name, separated by spaces"
            )
        files = tuple(path.parent / word for word in words[: len(names)])
        for file in files:
            if not file.is_file():
                raise UserError(f"{where}: {file} does not exist or is not a file")
        name = words[len(names)] if len(words) > len(names) else files[0].stem
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"{where}: the name {name!r} must be a relative path without `..`")
        samples.append((name, files))
    if not samples:
        raise UserError(f"{path}: the list is empty")
    return _of_files(samples, names)


def _of_files(samples: Sequence[tuple[str, tuple[Path, ...]]], names: tuple[str, ...]) -> Source:
    _check_names(name for name, _ in samples)
    # A frame is t1 of one pair and t0 of the next.
    read = lru_cache(maxsize=2 * len(names))(read_any_image)

    def stream() -> Iterator[Sample]:
        for name, files in samples:
            yield Sample(name, {key: read(file) for key, file in zip(names, files, strict=True)})

    return Source(stream(), len(samples))


def _check_names(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(
                f"two samples are named {name}, and their predictions would have the same file; in a list, give a name "
                "after the images"
            )
        seen.add(name)


def _of_video(path: Path, reading: Reading) -> Source:
    def stream() -> Iterator[Sample]:
        waiting: list[tuple[int, npt.NDArray[np.uint8]]] = []
        for frame in video_stream.frames(str(path), reading.every):
            waiting.append(frame)
            if len(waiting) > reading.stride:
                number, first = waiting.pop(0)
                yield Sample(f"{path.stem}_{number:06d}", {"left_t0": first, "left_t1": frame[1]})

    count, rate = video_stream.frame_count(str(path), reading.every), video_stream.frame_rate(str(path))
    pairs = None if count is None else max(0, count - reading.stride)
    return Source(stream(), pairs, rate / reading.every or None)
