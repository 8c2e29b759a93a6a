"""Published results for comparison with ours, each with its source and a grade of certainty.

All values were read in a public source, none are from memory. The search covered stored copies of public pages and
repositories, which did not include the result tables of the two papers and the benchmarks' leaderboards. Therefore
missing: all accuracies of DWARF (its ablation Gt, Px, Gt+Px and its benchmark entry); DDFlow on KITTI 2012's test part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flowdistill.recipes.report import markdown

Grade = Literal["good", "abstract", "counted", "one index page", "contradictory"]


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        method: DWARF or DDFlow.
        data: data set and part: "KITTI 2015 train".
        images: which images, and how many.
        pixels: which pixels, as far as stated by the source.
        supervision: the training labels.
        metric: Fl-all (KITTI's outliers of flow: over 3 px and over 5 %), EPE (mean end-point error), speed,
            or parameters.
        value: in `unit`.
        unit: percent, px, FPS (frames per second) or million.
        source: place in the source: page, table, row.
        urls: the pages that were read; if there are several, they agree.
        grade: good (two pages agree), abstract (of the paper, of which `urls` are copies), counted (by us, in the
            released code), one index page (not the paper, no second source), or contradictory (the only page gives it
            for two different parts).
    """

    method: str
    data: str
    images: str
    pixels: str
    supervision: str
    metric: Literal["Fl-all", "EPE", "speed", "parameters"]
    value: float
    unit: Literal["percent", "px", "FPS", "million"]
    source: str
    urls: tuple[str, ...]
    grade: Grade


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
        grade="good",
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
        grade="one index page",
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
        grade="one index page",
    ),
    *(
        Published(
            method="DDFlow",
            data=f"Sintel {part} {name}",
            images="1,041 training pairs" if part == "train" else "552 test pairs",
            pixels="not stated by the source",
            supervision=_UNLABELED,
            metric="EPE",
            value=value,
            unit="px",
            source=f"{_INDEX_SAYS}s of Sintel, which list 2.92 and 3.98 for `train` and again for `test`, where other "
            "rows have 6.18 and 7.4; no second source",
            urls=(_DDFLOW_INDEX,),
            grade="contradictory",
        )
        for part, name, value in (
            ("train", "clean", 2.92),
            ("train", "final", 3.98),
            ("test", "clean", 6.18),
            ("test", "final", 7.40),
        )
    ),
    *(
        Published(
            method="DWARF",
            data=f"KITTI's resolution, {device}",
            images="not stated by the source",
            pixels="not applicable",
            supervision="not applicable",
            metric="speed",
            value=value,
            unit="FPS",
            source="abstract: about this many frames per second",
            urls=(
                "https://ojs.aaai.org/index.php/AAAI/article/view/6613",
                "https://ar5iv.labs.arxiv.org/html/1911.10090",
            ),
            grade="abstract",
        )
        for device, value in (("one high-end GPU", 10.0), ("NVIDIA Jetson TX2", 1.0))
    ),
    Published(
        method="DWARF",
        data="the network",
        images="not applicable",
        pixels="not applicable",
        supervision="not applicable",
        metric="parameters",
        value=19.618196,
        unit="million",
        source="counted in the released code's graph (tests/golden/reference/README.md); no second source",
        urls=("https://github.com/FilippoAleotti/DWARF-Tensorflow",),
        grade="counted",
    ),
)
"""Every published number that was found."""

NOT_READABLE = "not readable from here"
_MISSING = {
    "kitti": [
        ("DWARF", f"KITTI 2015, {labels}", metric)
        for labels, metric in (("Gt, Px, Gt+Px of the ablation", "D1, D2, Fl, SF"), ("test", "D1, D2, Fl, SF"))
    ] + [("DDFlow", "KITTI 2012 test", "EPE, Fl")],
    "sintel": [("DDFlow", "Sintel, by region (matched, unmatched)", "EPE")],
}  # fmt: skip


def published_section(benchmark: Literal["kitti", "sintel"]) -> str:
    """Return Markdown: the published results on a benchmark with sources and grades, and what is missing."""
    mine = [row for row in PUBLISHED if row.data.startswith("Sintel") == (benchmark == "sintel")]
    units = {"percent": "%"}
    rows = [
        [row.method, row.data, row.images, row.pixels, row.metric,
         f"{row.value:.4g} {units.get(row.unit, row.unit)}", row.grade, f"[{number}]"]
        for number, row in enumerate(mine, start=1)
    ]  # fmt: skip
    rows += [
        [method, data, "", "", metric, NOT_READABLE, "", ""] for method, data, metric in _MISSING[benchmark]
    ]
    titles = ["method", "data", "images", "pixels", "metric", "value", "certainty", "source"]
    return "\n".join([
        "# Published results that we could find",
        "",
        markdown(titles, rows),
        *(f"[{number}] {row.source}: {' '.join(row.urls)}\n" for number, row in enumerate(mine, start=1)),
    ])  # fmt: skip
