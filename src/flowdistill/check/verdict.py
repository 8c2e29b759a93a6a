"""From votes to judgements: a whole data set of labels that is misread, or single files that stick out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, MutableMapping, Sequence, Set
from dataclasses import replace

from flowdistill.check.change_sign import speaks_against
from flowdistill.check.examine import FileKey, FileReport
from flowdistill.check.misreadings import UNEXPLAINED
from flowdistill.check.plan import Plan, PlannedSample
from flowdistill.check.problems import Finding
from flowdistill.check.votes import Votes
from flowdistill.data.files import SampleFile

# docs/data.md has the measurement: right labels have a share of at most 0.5 for any misreading, a data set of misread
# ones at least 0.78 for the right name.
_LEAST_VOTES, _MAJORITY = 60, 0.65
# Of one file there are fewer votes, and many files are asked.
_LEAST_VOTES_OF_FILE, _MAJORITY_OF_FILE = 40, 0.8
# Right labels explain at least 0.8 of the pixels that can be compared, those of other pictures at most 0.36.
_UNEXPLAINED_SHARE = 0.6
_LEVEL = 0.1  # difference of two shares that does not say which misreading it is
_SIGN = (
    "the pictures match better at disparity - change than at disparity + change: at {} of {} pixels that tell"
)
_LAST = "disparity_t1"


def add_verdicts(plan: Plan, reports: MutableMapping[FileKey, FileReport]) -> None:
    """Add `wrong_content` to the reports on labels whose pictures speak for a misreading.

    Labels of one key, data set and root are judged together: if most of them are misread in the same way, it is an
    error of each that does not speak against it. A file that sticks out from the others is a warning.
    """
    everything = [sample for samples in plan.splits for sample in samples]
    misread: set[tuple[str, str, str]] = set()  # dataset, root and key
    # The disparity at t1 was compared by way of the others: what is wrong with them is not its fault.
    for last in (False, True):
        groups: dict[tuple[str, str, str], dict[FileKey, None]] = defaultdict(dict)
        for sample in everything:
            for file in (*sample.files, *sample.spare):
                judged = (file.key == _LAST) == last and reports[file.path, file.kind].votes
                if judged and not (last and _rests_on_misread(sample, file, reports, misread)):
                    groups[sample.dataset, sample.root, file.key][file.path, file.kind] = None
        for (dataset, root, key), files in groups.items():
            votes = {place: reports[place].votes for place in files}
            misreading = _misreading_of_all(list(votes.values()))
            if misreading is not None:
                misread.add((dataset, root, key))
            for place, finding in _judge(votes, misreading).items():
                _add(reports, place, finding)
            for place in files:
                sign = reports[place].change_sign
                if sign is not None and speaks_against(sign):
                    _add(reports, place, Finding("wrong_sign", _SIGN.format(sign.other, sign.total)))


def _add(reports: MutableMapping[FileKey, FileReport], place: FileKey, finding: Finding) -> None:
    reports[place] = replace(reports[place], findings=(*reports[place].findings, finding))


def _rests_on_misread(
    sample: PlannedSample,
    file: SampleFile,
    reports: Mapping[FileKey, FileReport],
    misread: Set[tuple[str, str, str]],
) -> bool:
    """Whether something is wrong with what the disparity at t1, or its change, of a sample rests on."""
    keys = ("flow", "disparity_t0") if file.kind.quantity == "disparity_change" else ("flow",)
    if any((sample.dataset, sample.root, key) in misread for key in keys):
        return True
    others = [reports[other.path, other.kind] for other in sample.files if other.key in keys]
    return any(found.kind in ("wrong_content", "wrong_sign") for other in others for found in other.findings)


def _judge(votes: Mapping[FileKey, Mapping[str, Votes]], misreading: str | None) -> dict[FileKey, Finding]:
    """The findings on the files of one group, of which all or most may have the same misreading."""
    findings: dict[FileKey, Finding] = {}
    if misreading is not None:
        of_it = {place: found[misreading] for place, found in votes.items() if misreading in found}
        agreeing = {place: found for place, found in of_it.items() if found.share > 0.5}
        where = f"in {len(agreeing)} of {len(votes)} such files, here "
        findings = {
            place: Finding("wrong_content", _words(misreading, found, where))
            for place, found in agreeing.items()
        }
    singles = {
        place: single
        for place, found in votes.items()
        if place not in findings and (single := _best(found, _LEAST_VOTES_OF_FILE, _MAJORITY_OF_FILE))
    }
    for place, single in singles.items():
        detail = (
            f"{_words(single, votes[place][single], '')}; {len(singles)} of {len(votes)} such files stick out"
        )
        findings[place] = Finding("wrong_content", detail, "warning")
    return findings


def _misreading_of_all(files: Sequence[Mapping[str, Votes]]) -> str | None:
    """The misreading that most votes, and many of the files that have any, speak for."""
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
    """The misreading with the largest share of its votes, if that is enough; of similar ones the one that fits best."""
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
        return f"{misreading}: what it leads to looks different {where}{at}"
    return f"{misreading}: so read, the pictures match better {where}{at} that tell"
