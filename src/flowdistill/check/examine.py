"""Examination of files in a worker process of the check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flowdistill.check.change_sign import change_votes
from flowdistill.check.content import JUDGED, SampleContent, compare_cameras, judge, repeats, wrong_subsets
from flowdistill.check.problems import Finding, Kind
from flowdistill.check.votes import Votes
from flowdistill.data.access import is_nowhere
from flowdistill.data.calibration import SwappedCamerasError
from flowdistill.data.files import FLO, Content, FileKind, SampleFile
from flowdistill.errors import UserError
from flowdistill.formats.encodings import odd_disparity_codes, odd_flow_codes

CHANGE_KEYS = ("left_t0", "right_t1", "flow", "disparity_t0", "disparity_t1")
"""The files of a sample that are needed to check the sign of its change of disparity."""

# A disparity map has the wrong sign if more than this share of its known values has.
_WRONG_SHARE = 0.01

FileKey = tuple[str, FileKind]


@dataclass
class FileReport:
    """Result of examining one file; comparisons with other files are added to it.

    Attributes:
        size: height and width, if the file has a size.
        findings: the problems of the file.
        votes: for a label that was compared with the images: name of a misreading -> votes for and against it.
        change_sign: for a change of disparity: votes for and against the other sign.
    """

    size: tuple[int, int] | None = None
    findings: tuple[Finding, ...] = ()
    votes: Mapping[str, Votes] = field(default_factory=dict)
    change_sign: Votes | None = None


@dataclass(frozen=True)
class Job:
    """A few consecutive samples of a split, and those of their files that no earlier job examines.

    Attributes:
        files: to report on.
        samples: all files of each sample.
        before, after: the labels of the sample before the first and of the sample after the last, if they exist.
    """

    files: tuple[SampleFile, ...]
    samples: tuple[tuple[SampleFile, ...], ...] = ()
    before: tuple[tuple[SampleFile, ...], ...] = ()
    after: tuple[tuple[SampleFile, ...], ...] = ()


@dataclass(frozen=True)
class Examiner:
    """Executes jobs; picklable.

    Attributes:
        fast: read headers only.
    """

    fast: bool

    def __call__(self, job: Job) -> list[FileReport]:
        """Return the reports on `job.files`, in the same order."""
        if self.fast:
            return [examine_file(file, fast=True) for file in job.files]
        contents: dict[FileKey, Content] = {}
        reports = {(file.path, file.kind): examine_file(file, contents) for file in job.files}
        _compare(job, reports, contents)
        return [reports[file.path, file.kind] for file in job.files]


def _compare(job: Job, reports: dict[FileKey, FileReport], contents: dict[FileKey, Content]) -> None:
    """Add findings and votes from comparing the labels of each sample with its other files to the reports."""
    if not any(
        file.key in JUDGED or file.key.endswith("_noc") or file.key == "right_t0" for file in job.files
    ):
        return  # only images, whose labels were examined by another job
    mine = dict(reports)
    samples = [_usable(sample, reports, contents) for sample in (*job.before, *job.samples, *job.after)]
    for number, sample in enumerate(samples):
        if not len(job.before) <= number < len(job.before) + len(job.samples):
            continue  # only used for comparison
        for noc, words in wrong_subsets(sample):
            if report := mine.get((noc.path, noc.kind)):
                report.findings += (Finding("wrong_content", words),)
        if "disparity_t0" not in sample.files and "right_t0" in sample.files:
            right, _ = sample.files["right_t0"]
            if report := mine.get((right.path, right.kind)):
                report.votes = compare_cameras(sample)
        neighbours = [samples[other] for other in (number - 1, number + 1) if 0 <= other < len(samples)]
        for key in JUDGED:
            if key not in sample.files:
                continue
            file, _ = sample.files[key]
            report = mine.get((file.path, file.kind))
            if report is None:
                continue
            if repeats(sample, key):
                words = "upper half repeated: the lower half is a copy of it"
                report.findings += (Finding("wrong_content", words),)
                continue
            report.votes = judge(sample, neighbours, key)
            if key == "disparity_t1":
                report.change_sign = _examine_change(sample)


def _usable(
    sample: tuple[SampleFile, ...], reports: dict[FileKey, FileReport], contents: dict[FileKey, Content]
) -> SampleContent:
    """Return the files of a sample that can be compared: readable and without findings that make them unusable."""
    usable: dict[str, tuple[SampleFile, Content]] = {}
    for file in sample:
        place = file.path, file.kind
        if file.kind.quantity not in ("image", "flow", "disparity", "disparity_change"):
            continue
        if place not in reports:  # a file of another job
            reports[place] = examine_file(file, contents)
        hopeless = any(
            finding.kind in ("wrong_content", "wrong_sign", "empty_label")
            for finding in reports[place].findings
        )
        if place in contents and not hopeless:
            usable[file.key] = file, contents[place]
    return SampleContent(usable)


def examine_file(
    file: SampleFile, contents: dict[FileKey, Content] | None = None, fast: bool = False
) -> FileReport:
    """Examine one file on its own.

    Args:
        file: the file.
        contents: where its contents are stored.
        fast: read the header only: existence, kind and size.
    """
    if is_nowhere(file.path):
        return FileReport(findings=(Finding("missing", file.kind.title),))
    try:
        if fast:
            return FileReport(file.kind.inspect(file.path))
        content = file.kind.read(file.path)
    except UserError as error:
        kind: Kind = "wrong_content" if isinstance(error, SwappedCamerasError) else "unreadable"
        return FileReport(findings=(Finding(kind, str(error).removeprefix(f"{file.path}: ")),))
    if not isinstance(content, Content):
        return FileReport()
    if contents is not None:
        contents[file.path, file.kind] = content
    height, width = content.values.shape[:2]
    return FileReport((height, width), tuple(_findings(file, content)))


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
    # None of these data sets contains NaN or infinities on purpose; "unknown" in .flo files is a finite number.
    finite = np.isfinite(values)
    if odd := 0 if finite.all() else total - int(np.count_nonzero(finite.all(axis=2))):
        found.append(Finding("non_finite", f"{odd} of {total} pixels are NaN or infinite"))
    found += _odd_codes(file, content) or _out_of_range(file, content)
    if kind.quantity == "disparity" and file.key.startswith("disparity"):
        known = int(np.count_nonzero(content.valid))
        wrong = int(np.count_nonzero((values[..., 0] * kind.sign < 0) & content.valid))
        if wrong > _WRONG_SHARE * known:
            stored, seen = ("positive", "negative") if kind.sign > 0 else ("negative", "positive")
            detail = (
                f"stored as {stored} numbers in this layout, but {wrong} of {known} known values are {seen}"
            )
            found.append(Finding("wrong_sign", detail))
    return found


def _odd_codes(file: SampleFile, content: Content) -> list[Finding]:
    """Return findings from KITTI's stored codes; small disparities may be correct and are compared with the images."""
    if content.codes is None:
        return []
    odd_codes = odd_flow_codes if file.kind.quantity == "flow" else odd_disparity_codes
    return [
        Finding(
            "out_of_range" if oddity.name == "piled up" else "wrong_content",
            f"{oddity.problem} ({oddity.detail})",
            "error" if oddity.sure else "warning",
        )
        for oddity in odd_codes(content.codes)
        if oddity.name != "small"
    ]


def _out_of_range(file: SampleFile, content: Content) -> list[Finding]:
    if file.group == "proxy" and content.codes is not None:
        return []  # predictions for any data set; the range of the format is limit enough
    limit = file.kind.largest * content.values.shape[1]
    values = content.values
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.square(values[..., 0])
        if values.shape[2] > 1:
            square += np.square(values[..., 1])
        beyond = square > limit**2  # False for NaN
    if not beyond.any():
        return []
    # Values beyond `UNKNOWN` mean "unknown" in .flo files; in a PFM they are errors.
    is_pfm = file.kind.holds_unknown and file.kind != FLO
    beyond &= np.isfinite(values).all(axis=2) if is_pfm else content.valid
    count = int(np.count_nonzero(beyond))
    if not count:
        return []
    largest = f"up to {float(np.linalg.norm(values[beyond].astype(np.float64), axis=1).max()):.4g} px"
    detail = f"{count} pixels beyond {limit:g} px, {largest}, for an image width of {values.shape[1]}"
    return [Finding("out_of_range", detail, "warning" if content.codes is not None else "error")]


def _examine_change(sample: SampleContent) -> Votes | None:
    """Count the pixels for and against the other sign of the change of disparity."""
    found = [sample.files[key] for key in CHANGE_KEYS if key in sample.files]
    if len(found) < len(CHANGE_KEYS) or found[-1][0].kind.quantity != "disparity_change":
        return None
    if len({content.values.shape[:2] for _, content in found}) > 1:
        return None
    left, right, flow, disparity, change = (content.values for _, content in found)
    known = [content.valid for _, content in found if content.valid is not None]
    change = np.where(np.logical_and.reduce(known)[..., None], change, np.float32(np.nan))
    sign, change_sign = found[3][0].kind.sign, found[4][0].kind.sign
    over_time = sample.pair("left_t0", "left_t1")
    return change_votes(left, right, over_time, flow, disparity * sign, change * change_sign)
