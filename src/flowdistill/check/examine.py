"""Looking at files: what a worker process of the check does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowdistill.check.change_sign import speaks_against, wrong_change_share
from flowdistill.check.problems import Finding
from flowdistill.data.access import is_nowhere
from flowdistill.data.files import FLO, Content, FileKind, SampleFile
from flowdistill.errors import UserError

CHANGE_KEYS = ("left_t0", "right_t1", "flow", "disparity_t0", "disparity_t1")
"""The files of a sample that tell whether its change of disparity has the right sign."""

# A map of disparities has the wrong sign if more than this share of its known values has.
_WRONG_SHARE = 0.01


@dataclass(frozen=True)
class FileReport:
    """Height and width of a file, if it has them, and what is wrong with it."""

    size: tuple[int, int] | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Job:
    """The files of one sample that no earlier job looks at, and, where the change of disparity is one of them, the
    files of `CHANGE_KEYS`, in this order."""

    files: tuple[SampleFile, ...]
    change: tuple[SampleFile, ...] = ()


@dataclass(frozen=True)
class Examiner:
    """Does jobs; picklable.

    Attributes:
        fast: look at headers only.
    """

    fast: bool

    def __call__(self, job: Job) -> list[FileReport]:
        """The reports on `job.files`, in their order."""
        if self.fast:
            return [inspect_file(file) for file in job.files]
        contents: dict[str, Content] = {}
        reports = [examine_file(file, contents) for file in job.files]
        if job.change and (finding := _examine_change(job.change, contents)) is not None:
            place = job.files.index(job.change[-1])
            found = reports[place]
            reports[place] = FileReport(found.size, (*found.findings, finding))
        return reports


def inspect_file(file: SampleFile) -> FileReport:
    """Whether a file is there, is what it should be by its header, and how large the picture is."""
    if is_nowhere(file.path):
        return FileReport(findings=(Finding("missing", file.kind.title),))
    try:
        return FileReport(file.kind.inspect(file.path))
    except UserError as error:
        return FileReport(findings=(_unreadable(file, error),))


def examine_file(file: SampleFile, contents: dict[str, Content] | None = None) -> FileReport:
    """Everything that can be said about one file on its own; what it holds is put into `contents`, by path."""
    if is_nowhere(file.path):
        return inspect_file(file)
    try:
        content = file.kind.read(file.path)
    except UserError as error:
        return FileReport(findings=(_unreadable(file, error),))
    if not isinstance(content, Content):
        return FileReport()
    if contents is not None:
        contents[file.path] = content
    height, width = content.values.shape[:2]
    return FileReport((height, width), tuple(_findings(file, content)))


def _unreadable(file: SampleFile, error: UserError) -> Finding:
    return Finding("unreadable", str(error).removeprefix(f"{file.path}: "))


def _findings(file: SampleFile, content: Content) -> list[Finding]:
    values, kind = content.values, file.kind
    if kind.quantity == "mask" and file.key.startswith("valid_") and not file.key.endswith("_noc"):
        return [Finding("empty_label", "every pixel is marked as invalid")] if values.all() else []
    if content.valid is None:
        return []
    if not content.valid.any() and np.isfinite(values).all():
        return [Finding("empty_label", "no pixel is valid")]
    found = []
    total = content.valid.size
    # Of the data sets here none writes NaN or infinities on purpose; .flo's own "unknown" is a finite number.
    finite = np.isfinite(values)
    if odd := 0 if finite.all() else total - int(np.count_nonzero(finite.all(axis=2))):
        found.append(Finding("non_finite", f"{odd} of {total} pixels are NaN or infinite"))
    found += _out_of_range(file, content)
    if kind.quantity == "disparity" and file.key.startswith("disparity"):
        known = int(np.count_nonzero(content.valid))
        wrong = int(np.count_nonzero((values[..., 0] * kind.sign < 0) & content.valid))
        if wrong > _WRONG_SHARE * known:
            stored, seen = ("positive", "negative") if kind.sign > 0 else ("negative", "positive")
            detail = (
                f"stored as {stored} numbers in this layout, but {wrong} of {known} known ones are {seen}"
            )
            found.append(Finding("wrong_sign", detail))
    return found


def _out_of_range(file: SampleFile, content: Content) -> list[Finding]:
    limit = file.kind.largest * content.values.shape[1]
    values = content.values
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.abs(values[..., 0]) if values.shape[2] == 1 else np.hypot(values[..., 0], values[..., 1])
        beyond = length > limit  # never of NaN
    # Beyond `UNKNOWN` .flo says "unknown"; a PFM that holds such a number is wrong.
    beyond &= np.isfinite(length) if _is_pfm(file.kind) else content.valid
    count = int(np.count_nonzero(beyond))
    if not count:
        return []
    largest = f"up to {float(length[beyond].max()):.4g} px"
    detail = f"{count} pixels beyond {limit:g} px, {largest}, in a picture {values.shape[1]} wide"
    return [Finding("out_of_range", detail)]


def _is_pfm(kind: FileKind) -> bool:
    return kind.holds_unknown and kind != FLO


def _examine_change(files: tuple[SampleFile, ...], contents: dict[str, Content]) -> Finding | None:
    """Whether the last of the files of `CHANGE_KEYS`, the change, has the wrong sign."""
    found = []
    for file in files:
        report = FileReport()
        if file.path not in contents:  # another job's file
            report = examine_file(file, contents)
        if file.path not in contents or any(finding.kind != "non_finite" for finding in report.findings):
            return None
        found.append(contents[file.path])
    if len({content.values.shape[:2] for content in found}) > 1:
        return None
    left, right, flow, disparity, change = (content.values for content in found)
    sign = files[3].kind.sign
    if np.count_nonzero(disparity * sign < 0) > _WRONG_SHARE * disparity.size:
        return None  # the change is one of the disparity, whose sign is wrong
    known = found[2].valid, found[3].valid, found[4].valid
    unknown = ~np.logical_and.reduce([mask for mask in known if mask is not None])
    change = np.where(unknown[..., None], np.float32(np.nan), change)
    share, pixels = wrong_change_share(left, right, flow, disparity * sign, change * files[4].kind.sign)
    if not speaks_against(share, pixels):
        return None
    return Finding(
        "wrong_sign",
        f"the pictures match better at disparity - change than at disparity + change: {share:.0%} of {pixels} telling "
        "pixels",
    )
