"""Download sources of each data set: its page, and the files in each archive."""

from __future__ import annotations

import inspect
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # avoids importing torch where only the sizes are needed
    from flowdistill.data.dataset import MotionDataset


@dataclass(frozen=True)
class Download:
    """A data set's page, archives and image sizes.

    Attributes:
        page: URL.
        archives: (pattern of a path under the root, name on the page); the first match is used.
        sizes: height and width of its images; a tree without any of them contains a user's own data in that layout.
    """

    page: str
    archives: tuple[tuple[str, str], ...]
    sizes: frozenset[tuple[int, int]]


# The rectified image sizes of KITTI's five recording days.
_KITTI_SIZES = frozenset({(375, 1242), (370, 1224), (374, 1238), (370, 1226), (376, 1241)})
_THINGS_SIZES = frozenset({(540, 960)})
_FREIBURG = "https://lmb.informatik.uni-freiburg.de/resources/datasets"
DOWNLOADS: dict[str, Download] = {
    "kitti2015": Download(
        "https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php",
        (
            (r"(training|testing)/calib_cam_to_cam/", "data_scene_flow_calib.zip"),
            (r"(training|testing)/image_[23]/000[01]\d\d_1[01]\.", "data_scene_flow.zip"),
            (r"(training|testing)/image_[23]/000[01]\d\d_([01]\d|20)\.", "data_scene_flow_multiview.zip"),
            (r"training/(flow|disp|obj)_\w+/000[01]\d\d_10\.", "data_scene_flow.zip"),
        ),
        _KITTI_SIZES,
    ),
    "kitti2012": Download(
        "https://www.cvlibs.net/datasets/kitti/eval_stereo_flow.php",
        (
            (r"(training|testing)/(colored|image)_[01]/000[01]\d\d_1[01]\.", "data_stereo_flow.zip"),
            (
                r"(training|testing)/(colored|image)_[01]/000[01]\d\d_([01]\d|20)\.",
                "data_stereo_flow_multiview.zip",
            ),
            (r"(training|testing)/calib/", "data_stereo_flow.zip"),
            (r"training/(flow|disp)_\w+/000[01]\d\d_10\.", "data_stereo_flow.zip"),
        ),
        _KITTI_SIZES,
    ),
    "things": Download(
        f"{_FREIBURG}/SceneFlowDatasets.en.html",
        (
            (r"frames_cleanpass/", "FlyingThings3D, RGB images (cleanpass)"),
            (r"frames_finalpass/", "FlyingThings3D, RGB images (finalpass)"),
            (r"frames_cleanpass_webp/", "FlyingThings3D, RGB images (cleanpass), WebP"),
            (r"frames_finalpass_webp/", "FlyingThings3D, RGB images (finalpass), WebP"),
            (r"optical_flow/", "FlyingThings3D, optical flow"),
            (r"disparity_change/", "FlyingThings3D, disparity change"),
            (r"disparity/", "FlyingThings3D, disparity"),
        ),
        _THINGS_SIZES,
    ),
    "things_subset": Download(
        f"{_FREIBURG}/SceneFlowDatasets.en.html",
        (
            (r"(train|val)/image_clean/", "FlyingThings3D subset, RGB images (cleanpass)"),
            (r"(train|val)/image_final/", "FlyingThings3D subset, RGB images (finalpass)"),
            (r"(train|val)/flow_occlusions/", "FlyingThings3D subset, optical flow occlusions"),
            (r"(train|val)/flow/", "FlyingThings3D subset, optical flow"),
            (r"(train|val)/disparity_occlusions/", "FlyingThings3D subset, disparity occlusions"),
            (r"(train|val)/disparity_change/", "FlyingThings3D subset, disparity change"),
            (r"(train|val)/disparity/", "FlyingThings3D subset, disparity"),
        ),
        _THINGS_SIZES,
    ),
    "chairs": Download(
        f"{_FREIBURG}/FlyingChairs.en.html",
        ((r"(FlyingChairs_release/)?data/", "FlyingChairs.zip"),),
        frozenset({(384, 512)}),
    ),
    "sintel": Download(
        "http://sintel.is.tue.mpg.de/downloads",
        ((r"(training|test)/(clean|final|flow|occlusions|invalid)/", "MPI-Sintel-complete.zip"),),
        frozenset({(436, 1024)}),
    ),
}


def archive_of(dataset: str, path: str) -> str | None:
    """Return the name of the archive that contains a path under the root, or None."""
    archives = DOWNLOADS[dataset].archives if dataset in DOWNLOADS else ()
    return next((name for pattern, name in archives if re.match(pattern, path)), None)


def is_own(dataset: str, sizes: Set[tuple[int, int]]) -> bool:
    """Whether a tree contains the user's own data instead of those of the benchmark whose layout it has.

    Args:
        dataset: the layout's name.
        sizes: the known (height, width) of the tree's images.
    """
    return dataset not in DOWNLOADS or (bool(sizes) and not sizes & DOWNLOADS[dataset].sizes)


def describe_tree(dataset: type[MotionDataset], text: str | None) -> str:
    """Describe a data set: the layout from its module's docstring `text`, else the class's, and the download source."""
    layout = (text or inspect.getdoc(dataset) or "").strip()
    if dataset.name not in DOWNLOADS:
        return layout
    download = DOWNLOADS[dataset.name]
    names = list(dict.fromkeys(name for _, name in download.archives))
    archives = "".join(f"\n  {name}" for name in names)
    return f"{layout}\n\nDownload: {download.page}{archives}"
