"""Converts reports on files to problems of samples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import astuple

from flowdistill.check.examine import FileKey, FileReport
from flowdistill.check.plan import Plan, PlannedSample
from flowdistill.check.problems import Finding, Problem
from flowdistill.check.verdict import add_verdicts
from flowdistill.data.files import SampleFile

Reports = dict[FileKey, FileReport]


def collect(plan: Plan, results: Sequence[Sequence[FileReport]]) -> list[Problem]:
    """Return all problems without duplicates: invalid lines first, then by sample in the order of the splits.

    A problem of a file shared by several samples (the second frame of one is the first of the next) is reported for
    each of them.

    Args:
        plan: of the check.
        results: for each of `plan.jobs`, in order: one report per file. Findings are added to them.
    """
    reports = plan.by_file(results)
    add_verdicts(plan, reports)
    problems = {_key(problem): problem for problem in plan.bad_lines}
    for samples in plan.splits:
        expected = _mostly_there(samples, reports)
        for sample in samples:
            spare = [file for file in sample.spare if file.key in expected or not _is_missing(file, reports)]
            files, entry = [*sample.files, *spare], sample.entry
            found = [(file, finding) for file in files for finding in reports[file.path, file.kind].findings]
            for file, finding in [*found, *_other_sizes(files, reports)]:
                place = sample.dataset, sample.root, entry, entry.name, file.path
                problem = Problem(*place, *astuple(finding))
                problems.setdefault(_key(problem), problem)
    return list(problems.values())


def _key(problem: Problem) -> tuple[str, str, str]:
    return problem.sample, problem.file, problem.kind


def _mostly_there(samples: list[PlannedSample], reports: Reports) -> set[str]:
    """Return the keys of spare labels of which more than half exist."""
    there: dict[str, list[bool]] = defaultdict(list)
    for file in (file for sample in samples for file in sample.spare):
        there[file.key].append(not _is_missing(file, reports))
    return {key for key, found in there.items() if 2 * sum(found) > len(found)}


def _is_missing(file: SampleFile, reports: Reports) -> bool:
    return any(finding.kind == "missing" for finding in reports[file.path, file.kind].findings)


def _other_sizes(files: list[SampleFile], reports: Reports) -> list[tuple[SampleFile, Finding]]:
    """Return the files whose size differs from the most frequent one in the sample (of equally frequent, the first)."""
    sizes = [(file, size) for file in files if (size := reports[file.path, file.kind].size) is not None]
    # Counter keeps the order of first occurrence among equals.
    ranked = Counter(size for _, size in sizes).most_common(1)
    if not ranked:
        return []
    (height, width), _ = ranked[0]
    most = f"most of the sample's files are {height}x{width}"
    return [
        (file, Finding("size_mismatch", f"{size[0]}x{size[1]} (height x width); {most}"))
        for file, size in sizes
        if size != (height, width)
    ]
