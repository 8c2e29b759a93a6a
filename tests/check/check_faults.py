"""Helpers for the tests of the data check: a rendered tree of each layout, its check, and faults to inject."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from flowdistill.check.collect import collect
from flowdistill.check.examine import Examiner
from flowdistill.check.plan import plan_check
from flowdistill.check.problems import Problem
from flowdistill.data import MotionDataModule, View
from flowdistill.data.datasets import dataset_class
from flowdistill.formats import (
    read_flo,
    read_image,
    read_kitti_disparity,
    read_kitti_flow,
    read_mask,
    read_object_map,
    read_pfm,
    write_flo,
    write_image,
    write_kitti_disparity,
    write_kitti_flow,
    write_mask,
    write_pfm,
)
from flowdistill.formats.png import write_png

LAYOUTS = ("kitti2015", "kitti2012", "things", "things_subset", "chairs", "sintel")
Fault = Callable[[Path, str], None]
"""Changes a file, given its path and the title of its kind."""


def data_module(layout: str, root: Path, **init: Any) -> MotionDataModule:
    """Both views, if the layout has them, of everything that a scan finds."""
    for view in dataset_class(layout).views:
        init.setdefault(view, View(train_split="scan", val_split="scan"))
    return MotionDataModule(layout, str(root), **init)


def check(module: MotionDataModule, fast: bool = False) -> list[Problem]:
    """The problems of a data module's files, found in this process."""
    plan = plan_check(module)
    return collect(plan, [Examiner(fast)(job) for job in plan.jobs])


def found(problems: list[Problem]) -> set[tuple[str, str, str]]:
    """(sample, file, kind) of each problem, after checking that there are no duplicates."""
    keys = [(problem.sample, problem.file, problem.kind) for problem in problems]
    assert len(keys) == len(set(keys))
    return set(keys)


def rewrite(path: Path, title: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Rewrite a file with other values (H, W, C); NaN means invalid in KITTI's files."""
    if title == "8-bit image":
        write_image(path, change(read_image(path)))
    elif title == "16-bit KITTI flow":
        flow, valid = read_kitti_flow(path)
        flow[~valid] = np.nan
        write_kitti_flow(path, change(flow))
    elif title == "16-bit KITTI disparity":
        disparity, valid = read_kitti_disparity(path)
        disparity[~valid] = np.nan
        write_kitti_disparity(path, change(disparity))
    elif title == ".flo flow":
        write_flo(path, change(read_flo(path)))
    elif title.startswith("PFM"):
        write_pfm(path, change(read_pfm(path)))
    elif title.startswith("mask"):
        write_mask(path, change(read_mask(path)[..., None]))
    else:
        assert title == "object map"
        write_png(path, np.ascontiguousarray(change(read_object_map(path)[..., None])[..., 0]))


def remove(path: Path, title: str) -> None:
    path.unlink()


def cut_off(path: Path, title: str) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def other_kind(path: Path, title: str) -> None:
    path.write_bytes(b"<html>404 not found</html>\n" * 9)


def narrower(path: Path, title: str) -> None:
    rewrite(path, title, lambda values: values[:, :-1])


def not_finite(path: Path, title: str) -> None:
    def change(values: np.ndarray) -> np.ndarray:
        values[3, 5, 0], values[4, 6, 0] = np.nan, -np.inf
        return values

    rewrite(path, title, change)


def far_away(path: Path, title: str) -> None:
    """One value larger than any motion of these images of 64 columns, and smaller than "unknown"."""

    def change(values: np.ndarray) -> np.ndarray:
        sign = np.sign(np.nanmean(values[..., 0])) if "disparity" in title else 1
        values[7, 8, 0] = sign * {"16-bit KITTI flow": 300, "16-bit KITTI disparity": 120}.get(title, 70_000)
        return values

    rewrite(path, title, change)


def negated(path: Path, title: str) -> None:
    rewrite(path, title, lambda values: -values)


def all_unknown(path: Path, title: str) -> None:
    unknown = np.nan if "KITTI" in title else 1.7e9
    rewrite(path, title, lambda values: np.full_like(values, unknown))
