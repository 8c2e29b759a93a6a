"""What a data check finds."""

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
    "bad_split_line": "a line of a split file that no sample can be made of",
    "missing": "no such file",
    "unreadable": "damaged, cut off, or another kind of file",
    "size_mismatch": "not as large as most files of its sample",
    "non_finite": "truth that holds NaN or infinities",
    "out_of_range": "motion beyond what is credible for the picture's width",
    "wrong_sign": "disparity, or its change, of the other sign",
    "wrong_content": "another thing than the layout says, by its numbers or by the pictures",
    "empty_label": "no valid pixel",
}


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file, without the sample it was found in."""

    kind: Kind
    detail: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Problem:
    """One file of one sample with one kind of trouble.

    Attributes:
        dataset: name of the dataset: "things".
        root: its data folder.
        entry: the sample; None for a wrong line of a split.
        sample: its name, or the wrong line's text.
        file: path, of the split file for a wrong line.
        kind: what is wrong, a key of `KINDS`.
        detail: the same in words, with numbers.
        severity: a warning may be right as it is: somebody should look.
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
    """The file that `--json` names."""
    keys = ("sample", "file", "kind", "severity", "detail")
    return {"problems": [{key: getattr(problem, key) for key in keys} for problem in problems]}
