"""Published accuracies for comparison with ours, each with its source.

All values were read in a public source, none are from memory. The search covered stored copies of public pages and
repositories, which did not include the result tables of the two papers and KITTI's leaderboards. Therefore missing:

* DWARF, all results: its ablation (Gt, Px, Gt+Px) and its benchmark entry. The abstract (arXiv 1911.10090) and the
  README of the authors' code give no accuracy.
* DDFlow on Sintel: the only page with numbers lists 2.92 px (clean) and 3.98 px (final) as results on `train` in some
  rows and on `test` in others, besides 6.18 and 7.4 px on `test`. It contradicts itself.
* DDFlow on KITTI 2012, test part: not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        method: DWARF or DDFlow.
        data: data set and part: "KITTI 2015 train".
        images: which images, and how many.
        pixels: which pixels, as far as stated by the source.
        supervision: the training labels.
        metric: Fl-all (KITTI's outliers of flow: over 3 px and over 5 %) or EPE (mean end-point error).
        value: in `unit`.
        unit: percent or px.
        source: place in the source: page, table, row.
        urls: the pages that were read; if there are several, they agree.
    """

    method: str
    data: str
    images: str
    pixels: str
    supervision: str
    metric: Literal["Fl-all", "EPE"]
    value: float
    unit: Literal["percent", "px"]
    source: str
    urls: tuple[str, ...]


_DDFLOW_INDEX = "https://www.wizwand.com/paper/68fa65661e209131cea0a040"
_DDFLOW_SUMMARY = "https://emergentmind.com/papers/1902.09145"
_INDEX_SAYS = "index page of arXiv 1902.09145 (not the paper itself), table of benchmarks, row"
_UNLABELED = "none: unlabeled video"

PUBLISHED = (
    Published(
        method="DDFlow",
        data="KITTI 2015 test",
        images="the benchmark's 200 test images",
        pixels="those of KITTI's Fl-all: all with ground truth, occluded ones included",
        supervision=_UNLABELED,
        metric="Fl-all",
        value=14.29,
        unit="percent",
        source=f"{_INDEX_SAYS} `Optical Flow, KITTI 2015 (test), Fl Error (All)`; summary page of the same paper, "
        "third point: `Fl-all 14.29% on KITTI 2015`",
        urls=(_DDFLOW_INDEX, _DDFLOW_SUMMARY),
    ),
    Published(
        method="DDFlow",
        data="KITTI 2015 train",
        images="200 training images with ground truth",
        pixels="not stated by the source",
        supervision=_UNLABELED,
        metric="EPE",
        value=5.72,
        unit="px",
        source=f"{_INDEX_SAYS} `Optical Flow Estimation, KITTI 2015 (train), Fl-epe`; no second source",
        urls=(_DDFLOW_INDEX,),
    ),
    Published(
        method="DDFlow",
        data="KITTI 2012 train",
        images="194 training images with ground truth",
        pixels="not stated by the source",
        supervision=_UNLABELED,
        metric="EPE",
        value=2.35,
        unit="px",
        source=f"{_INDEX_SAYS} `Optical Flow, KITTI 2012 (train), AEE`; no second source",
        urls=(_DDFLOW_INDEX,),
    ),
)
"""Every published number that was found."""
