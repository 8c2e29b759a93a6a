"""Finds the images and videos below a user's folder."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from flowdistill.data.folder_names import natural_key
from flowdistill.errors import UserError
from flowdistill.formats import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts"),
        *(".wmv", ".flv", ".3gp", ".ogv"),
    }
)
"""The suffixes of videos, in lower case; they are compared ignoring case."""

_NOT_READ = frozenset(
    {
        *(".gif", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".exr", ".hdr", ".tga", ".dng", ".raw", ".cr2"),
        *(".cr3", ".nef", ".arw", ".vob", ".ts"),
    }
)  # images and videos of unsupported formats

LABELS_CONFIG = "labels.yaml"  # written by `flowdistill labels make` into its output folder
# Labels, predictions and their images: of KITTI, Sintel, FlyingThings3D, the prediction writer and proxies.py.
_LABEL_FOLDER = re.compile(
    r"(flow|disp|viz_\w+)_(occ|noc)(_[01])?|obj_map|(flow_|disparity_)?occlusions?(_backward)?|invalid|flow_viz"
    r"|(flow(_backward)?|disp_[01]|disparity)(_colour|_error)?|occluded(_backward)?"
)


@dataclass
class Tree:
    """Contents of a root folder; all paths are relative to it, with slashes.

    Attributes:
        images: folder ("" is the root) -> names of images.
        videos: paths.
        passed_over: folders that contain labels or predictions, according to their names.
        not_read: images and videos of unsupported formats.
        stamps: folder -> modification time, ns.
    """

    images: dict[str, list[str]] = field(default_factory=dict)
    videos: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)
    stamps: dict[str, int] = field(default_factory=dict)


def walk(root: str, wanted: str = "") -> Tree:
    """Find all images and videos below a root, in natural order.

    Hidden files and folders are skipped, and so are folders of labels, unless `wanted` is in their path. Links are
    followed; a folder that is reached twice is listed once.

    Raises:
        UserError: if a folder cannot be listed.
    """
    tree = Tree()
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        place = Path(root, folder)
        try:
            status = place.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            tree.stamps[folder] = status.st_mtime_ns
            names, folders = _list(place)
        except OSError as error:
            raise UserError(
                f"{place}: this folder cannot be listed ({error.strerror or error}). Make it readable, or move it out "
                f"of {root}."
            ) from error
        if folder and not (wanted and wanted in folder) and _is_of_labels(folder, names):
            tree.passed_over.append(folder)
            continue
        if images := [name for name in names if suffix_of(name) in IMAGE_SUFFIXES]:
            tree.images[folder] = images
        tree.videos += [join(folder, name) for name in names if suffix_of(name) in VIDEO_SUFFIXES]
        tree.not_read += [join(folder, name) for name in names if suffix_of(name) in _NOT_READ]
        waiting += [join(folder, name) for name in reversed(folders)]
    return tree


def unchanged(root: str, stamps: dict[str, int]) -> bool:
    """Whether the folders of an earlier walk still contain the same names."""
    try:
        return all(os.stat(Path(root, folder)).st_mtime_ns == stamp for folder, stamp in stamps.items())
    except OSError:
        return False


def suffix_of(name: str) -> str:
    """Return the suffix in lower case: .png"""
    return os.path.splitext(name)[1].lower()


def join(folder: str, name: str) -> str:
    """Join a folder below the root ("" for the root) and a name."""
    return f"{folder}/{name}" if folder else name


def _list(place: Path) -> tuple[list[str], list[str]]:
    """Return the names of files and of folders that are not hidden, each in natural order."""
    files, folders = [], []
    with os.scandir(place) as items:
        for item in items:
            if item.name.startswith(".") or item.name == "__MACOSX":
                continue
            # A broken link is treated as a file; reading it as an image raises an error with its name.
            if os.path.isdir(item):
                folders.append(item.name)
            else:
                files.append(item.name)
    return sorted(files, key=natural_key), sorted(folders, key=natural_key)


def _is_of_labels(folder: str, names: list[str]) -> bool:
    return bool(_LABEL_FOLDER.fullmatch(folder.rpartition("/")[2])) or LABELS_CONFIG in names
