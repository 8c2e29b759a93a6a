"""Where each data set comes from: its page, and which archive holds which files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowdistill.data.dataset import MotionDataset


@dataclass(frozen=True)
class Download:
    """A data set's page, and its archives: (pattern of a path under the root, name there); the first that fits."""

    page: str
    archives: tuple[tuple[str, str], ...]


_FREIBURG = "https://lmb.informatik.uni-freiburg.de/resources/datasets"
DOWNLOADS: dict[str, Download] = {
    "kitti2015": Download(
        "https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php",
        (
            (r"(training|testing)/calib_cam_to_cam/", "data_scene_flow_calib.zip"),
            (r"(training|testing)/image_[23]/\d{6}_1[01]\.", "data_scene_flow.zip"),
            (r"(training|testing)/image_[23]/", "data_scene_flow_multiview.zip"),
            (r"training/\w+/\d{6}_10\.", "data_scene_flow.zip"),
        ),
    ),
    "kitti2012": Download(
        "https://www.cvlibs.net/datasets/kitti/eval_stereo_flow.php",
        (
            (r"(training|testing)/(colored|image)_[01]/\d{6}_1[01]\.", "data_stereo_flow.zip"),
            (r"(training|testing)/(colored|image)_[01]/", "data_stereo_flow_multiview.zip"),
            (r"(training|testing)/calib/", "data_stereo_flow.zip"),
            (r"training/\w+/\d{6}_10\.", "data_stereo_flow.zip"),
        ),
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
    ),
    "chairs": Download(
        f"{_FREIBURG}/FlyingChairs.en.html", ((r"(FlyingChairs_release/)?data/", "FlyingChairs.zip"),)
    ),
    "sintel": Download(
        "http://sintel.is.tue.mpg.de/downloads", ((r"(training|test)/", "MPI-Sintel-complete.zip"),)
    ),
}


def archive_of(dataset: str, path: str) -> str | None:
    """The name of the archive that a path under the root belongs to; None for what no archive holds."""
    archives = DOWNLOADS[dataset].archives if dataset in DOWNLOADS else ()
    for pattern, name in archives:
        if re.match(pattern, path):
            return name
    return None


def describe_tree(dataset: type[MotionDataset], text: str | None) -> str:
    """The layout of a data set, as the docstring `text` of its module says it, and where it comes from, if it does."""
    download = DOWNLOADS.get(dataset.name)
    if download is None:
        return (text or "").strip()
    names = list(dict.fromkeys(name for _, name in download.archives))
    archives = "".join(f"\n  {name}" for name in names)
    return f"{(text or '').strip()}\n\nDownload: {download.page}{archives}"
