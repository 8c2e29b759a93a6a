"""From votes to judgements: a whole data set of labels that is misread, or single files that stick out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace

from flowdistill.check.examine import FileKey, FileReport
from flowdistill.check.plan import Plan
from flowdistill.check.problems import Finding
from flowdistill.check.votes import Votes

# docs/data.md has the measurement: right labels have a share of at most 0.5 for any misreading, a data set of misread
# ones at least 0.78 for the right name.
_LEAST_VOTES, _MAJORITY = 60, 0.65
# Of one file there are fewer votes, and many files are asked.
_LEAST_VOTES_OF_FILE, _MAJORITY_OF_FILE = 40, 0.8
_LEVEL = 0.04  # difference of two shares that does not say which misreading it is


def add_verdicts(plan: Plan, reports: MutableMapping[FileKey, FileReport]) -> None:
    """Add `wrong_content` to the reports on labels whose pictures speak for a misreading.

    Labels of one key, data set and root are judged together: if most of them are misread in the same way, it is an
    error of each that does not speak against it. A file that sticks out from the others is a warning.
    """
    groups: dict[tuple[str, str, str], dict[FileKey, None]] = defaultdict(dict)
    for samples in plan.splits:
        for sample in samples:
            for file in (*sample.files, *sample.spare):
                if reports[file.path, file.kind].votes:
                    groups[sample.dataset, sample.root, file.key][file.path, file.kind] = None
    for files in groups.values():
        votes = {place: reports[place].votes for place in files}
        for place, finding in _judge(votes).items():
            reports[place] = replace(reports[place], findings=(*reports[place].findings, finding))


def _judge(votes: Mapping[FileKey, Mapping[str, Votes]]) -> dict[FileKey, Finding]:
    """The findings on the files of one group."""
    misreading = _misreading_of_all(list(votes.values()))
    findings: dict[FileKey, Finding] = {}
    if misreading is not None:
        of_it = {place: found[misreading] for place, found in votes.items() if misreading in found}
        agreeing = {place: found for place, found in of_it.items() if found.share > 0.5}
        where = f"in {len(agreeing)} of {len(votes)} such files"
        findings = {
            place: Finding("wrong_content", f"{_words(misreading)} {where}, here {_numbers(found)}")
            for place, found in agreeing.items()
        }
    for place, found in votes.items():
        if place not in findings and (single := _best(found, _LEAST_VOTES_OF_FILE, _MAJORITY_OF_FILE)):
            detail = f"{_words(single)} {_numbers(found[single])}; other files of its kind are right"
            findings[place] = Finding("wrong_content", detail, "warning")
    return findings


def _misreading_of_all(files: Sequence[Mapping[str, Votes]]) -> str | None:
    """The misreading that most votes, and most files that have any, speak for."""
    together: dict[str, Votes] = defaultdict(Votes)
    for found in files:
        for misreading, votes in found.items():
            together[misreading] += votes
    name = _best(together, _LEAST_VOTES, _MAJORITY)
    if name is None:
        return None
    shares = [found[name].share for found in files if name in found]
    return name if 2 * sum(share > 0.5 for share in shares) > len(files) else None


def _best(votes: Mapping[str, Votes], least: int, majority: float) -> str | None:
    """The misreading with the largest share of its votes, if that is enough."""
    enough = {
        name: found for name, found in votes.items() if found.total >= least and found.share >= majority
    }
    return max(enough, key=lambda name: enough[name].share) if enough else None


def _words(misreading: str) -> str:
    return f"{misreading}: so read, the pictures match better"


def _numbers(votes: Votes) -> str:
    return f"at {votes.other} of {votes.total} telling pixels"
