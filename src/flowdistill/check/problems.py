"""Problems found by a data check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from flowdistill.data.splits import SplitEntry

Kind = Literal[
    "bad_split_line",
    "missing",
    "unreadable",
    "size_mismatch",
    "non_finite",
    "out_of_range",
    "wrong_sign",
    "wrong_content",
    "empty_label",
]
Severity = Literal["error", "warning"]
KINDS: dict[Kind, str] = {
    "bad_split_line": "a line of a split file that is not a valid sample",
    "missing": "no such file",
    "unreadable": "damaged, truncated, or another kind of file",
    "size_mismatch": "size differs from most files of its sample",
    "non_finite": "ground truth that contains NaN or infinities",
    "out_of_range": "motion that is implausibly large for the image width",
    "wrong_sign": "disparity, or its change, with the wrong sign",
    "wrong_content": "content differs from the layout, according to its values or the images",
    "empty_label": "no valid pixel",
}


@dataclass(frozen=True)
class Finding:
    """A problem of a file, without its sample."""

    kind: Kind
    detail: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Problem:
    """One kind of problem of one file of one sample.

    Attributes:
        dataset: name of the dataset: "things".
        root: its data folder.
        entry: the sample; None for an invalid line of a split.
        sample: its name, or the text of the invalid line.
        file: path; that of the split file for an invalid line.
        kind: a key of `KINDS`.
        detail: a description with numbers.
        severity: a warning may be a false alarm and needs to be inspected.
    """

    dataset: str
    root: str
    entry: SplitEntry | None
    sample: str
    file: str
    kind: Kind
    detail: str
    severity: Severity = "error"


def to_json(problems: list[Problem]) -> dict[str, Any]:
    """Return the contents of the `--json` file."""
    keys = ("sample", "file", "kind", "severity", "detail")
    return {"problems": [{key: getattr(problem, key) for key in keys} for problem in problems]}
