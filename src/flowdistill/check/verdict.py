"""Evaluates votes: finds data sets whose labels are all misread, and single files that differ from the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set

from flowdistill.check.change_sign import speaks_against
from flowdistill.check.examine import FileKey, FileReport
from flowdistill.check.misreadings import UNEXPLAINED
from flowdistill.check.plan import Plan, PlannedSample
from flowdistill.check.problems import Finding
from flowdistill.check.votes import Votes
from flowdistill.data.files import SampleFile

# Measured in docs/data.md: correct labels have a share of at most 0.5 for any misreading, a data set of misread ones
# at least 0.78 for the actual misreading.
_LEAST_VOTES, _MAJORITY = 60, 0.65
# Stricter for a single file, since it has fewer votes and many files are tested.
_LEAST_VOTES_OF_FILE, _MAJORITY_OF_FILE = 40, 0.8
# Correct labels match at least 0.8 of the comparable pixels, labels of other images at most 0.36.
_UNEXPLAINED_SHARE = 0.6
_LEVEL = 0.1  # largest difference of two shares that is not decisive between misreadings
_SIGN = (
    "the images match better at disparity - change than at disparity + change: at {} of {} decisive pixels"
)
_LAST = "disparity_t1"


def add_verdicts(plan: Plan, reports: Mapping[FileKey, FileReport]) -> None:
    """Add `wrong_content` to the reports on labels for which the images support a misreading.

    Labels of the same key, data set and root are evaluated together: if most of them are misread in the same way, it is
    an error for each file whose own votes do not contradict it. A single file that differs from the others is a
    warning.
    """
    everything = [sample for samples in plan.splits for sample in samples]
    misread: set[tuple[str, str, str]] = set()  # dataset, root and key
    # The disparity at t1 was compared using the other labels, so their errors must not be attributed to it.
    for last in (False, True):
        groups: dict[tuple[str, str, str], dict[FileKey, FileReport]] = defaultdict(dict)
        for sample in everything:
            for file in (*sample.files, *sample.spare):
                report = reports[file.path, file.kind]
                judged = (file.key == _LAST) == last and report.votes
                if judged and not (last and _rests_on_misread(sample, file, reports, misread)):
                    groups[sample.dataset, sample.root, file.key][file.path, file.kind] = report
        for group, by_file in groups.items():
            files = list(by_file.values())
            misreading = _misreading_of_all([report.votes for report in files])
            if misreading is not None:
                misread.add(group)
            _judge(files, misreading)
            for report in files:
                sign = report.change_sign
                if sign is not None and speaks_against(sign):
                    report.findings += (Finding("wrong_sign", _SIGN.format(sign.other, sign.total)),)


def _rests_on_misread(
    sample: PlannedSample,
    file: SampleFile,
    reports: Mapping[FileKey, FileReport],
    misread: Set[tuple[str, str, str]],
) -> bool:
    """Whether there are problems with the labels on which the comparison of the disparity at t1 depends."""
    keys = ("flow", "disparity_t0") if file.kind.quantity == "disparity_change" else ("flow",)
    if any((sample.dataset, sample.root, key) in misread for key in keys):
        return True
    others = [reports[other.path, other.kind] for other in sample.files if other.key in keys]
    return any(found.kind in ("wrong_content", "wrong_sign") for other in others for found in other.findings)


def _judge(files: Sequence[FileReport], misreading: str | None) -> None:
    """Add the findings on the files of one group, all or most of which may have the same misreading."""
    agreeing: list[tuple[FileReport, Votes]] = []
    singles: list[tuple[FileReport, str]] = []
    for report in files:
        found = report.votes.get(misreading) if misreading is not None else None
        if found is not None and found.share > 0.5:
            agreeing.append((report, found))
        elif single := _best(report.votes, _LEAST_VOTES_OF_FILE, _MAJORITY_OF_FILE):
            singles.append((report, single))
    for report, found in agreeing:
        where = f"in {len(agreeing)} of {len(files)} such files, here "
        report.findings += (Finding("wrong_content", _words(str(misreading), found, where)),)
    for report, single in singles:
        detail = f"{_words(single, report.votes[single], '')}; {len(singles)} of {len(files)} such files are outliers"
        report.findings += (Finding("wrong_content", detail, "warning"),)


def _misreading_of_all(files: Sequence[Mapping[str, Votes]]) -> str | None:
    """Return the misreading supported by most votes and by many of the files with votes, or None."""
    together: dict[str, Votes] = defaultdict(Votes)
    for found in files:
        for misreading, votes in found.items():
            together[misreading] += votes
    name = _best(together, _LEAST_VOTES, _MAJORITY)
    if name is not None and 3 * sum(name in found and found[name].share > 0.5 for found in files) > len(
        files
    ):
        return name
    singles = Counter(_best(found, _LEAST_VOTES_OF_FILE, _MAJORITY_OF_FILE) for found in files)
    same, number = max(singles.items(), key=lambda item: (item[0] is not None, item[1]))
    return same if 2 * number >= len(files) > 1 else None


def _best(votes: Mapping[str, Votes], least: int, majority: float) -> str | None:
    """Return the misreading with the largest share, if it is large enough; among similar shares, the best match."""
    enough = {
        name: found
        for name, found in votes.items()
        if found.total >= least and found.share >= (_UNEXPLAINED_SHARE if name == UNEXPLAINED else majority)
    }
    readings = {name: found for name, found in enough.items() if name != UNEXPLAINED}
    if not readings:
        return next(iter(enough), None)
    highest = max(found.share for found in readings.values())
    level = {name: found for name, found in readings.items() if found.share >= highest - _LEVEL}
    return min(level, key=lambda name: level[name].mean_residual)


def _words(misreading: str, votes: Votes, where: str) -> str:
    at = f"at {votes.other} of {votes.total} pixels"
    if misreading == UNEXPLAINED:
        return f"{misreading}: the images do not match along the motion {where}{at}"
    return f"{misreading}: with this reading the images match better {where}{at} that are decisive"
