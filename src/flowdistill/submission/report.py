"""Report faults of a submission as text: each problem once, with its files."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowdistill.submission.check import SubmissionReport
from flowdistill.submission.members import Fault

_FILES_SHOWN, _PROBLEMS_SHOWN = 10, 40


def report_text(name: str, report: SubmissionReport) -> str:
    """Return the report for the user; `name` is the submission."""
    notes = ["\nSuspicious, but not faults:", *faults_text(report.notes)] if report.notes else []
    if report.faults:
        count = len(report.faults)
        heading = f"{name}: {count} fault{'s' if count > 1 else ''}, checked as {report.title}"
        return "\n".join([heading, *faults_text(report.faults), *notes])
    # Rounded down: a single missing pixel must not be reported as 100.00 %.
    share = f"{math.floor(1e4 * report.density) / 100:.2f} %"
    holes = "" if report.density == 1 else "; the server fills the others before scoring"
    heading = (
        f"{name}: no faults. {report.title}: {report.files} files, {share} of the pixels have a value{holes}"
    )
    return "\n".join([heading, *notes])


def faults_text(faults: Sequence[Fault]) -> list[str]:
    """Return lines: each problem and what to do about it, followed by its files; long lists are truncated."""
    problems: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        problems.setdefault((fault.problem, fault.advice), []).append(fault)
    lines: list[str] = []
    for (problem, advice), group in list(problems.items())[:_PROBLEMS_SHOWN]:
        lines.append(f"\n{problem} -> {advice}")
        for fault in group[:_FILES_SHOWN]:
            lines.append(f"  {fault.file}" + (f" ({fault.detail})" if fault.detail else ""))
        if len(group) > _FILES_SHOWN:
            lines.append(f"  and {len(group) - _FILES_SHOWN} more")
    if len(problems) > _PROBLEMS_SHOWN:
        lines.append(f"\nand {len(problems) - _PROBLEMS_SHOWN} more problems")
    return lines
