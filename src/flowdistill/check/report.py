"""The summary of a data check for the terminal, with advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flowdistill.check.problems import KINDS, Kind, Problem
from flowdistill.check.sources import Own, how_to_get
from flowdistill.data.tree import many

_SHOWN = 4

_ADVICE: dict[Kind, str] = {
    "bad_split_line": "Correct the lines, or use a standard split (`flowdistill data splits` writes them).",
    "size_mismatch": "Get these files and the others of their samples from the same source, or exclude the samples.",
    "non_finite": "Training treats these pixels as unknown. Exclude the samples, or unpack the files again.",
    "out_of_range": "Training uses these values. Unpack the files again, or exclude the samples.",
    "wrong_sign": "Does the file belong to another layout, or to the other camera? Compare `flowdistill data tree`.",
    "wrong_content": "Training uses these values. Inspect a few (`flowdistill picture FILE`), fix the program that "
    "wrote them, or exclude the samples.",
    "empty_label": "These labels are of no use. Unpack the files again, or exclude the samples.",
}


def table(problems: Sequence[Problem], samples: int, files: int, fast: bool, own: Own) -> str:
    """Return the counts by kind, the first problems of each kind, and advice.

    Args:
        problems: all problems.
        samples, files: numbers of examined samples and files.
        fast: whether only headers were read.
        own: the trees with the user's own data, into which no archive should be unpacked.
    """
    looked = f"{many(files, 'file')} of {many(samples, 'sample')}{', headers only' if fast else ''}"
    if not problems:
        return f"{looked}: no problems"
    warnings = sum(problem.severity == "warning" for problem in problems)
    counted = [many(len(problems) - warnings, "problem")] if warnings < len(problems) else ["no problems"]
    counted += [many(warnings, "warning")] if warnings else []
    counts = Counter(problem.kind for problem in problems)
    touched = len({(problem.dataset, problem.root, problem.entry) for problem in problems if problem.entry})
    width = max(len(kind) for kind in KINDS)
    lines = [f"{looked}: {' and '.join(counted)} in {many(touched, 'sample')}", ""]
    lines += [f"  {kind:<{width}} {counts[kind]:>7}   {KINDS[kind]}" for kind in KINDS if counts[kind]]
    for kind in KINDS:
        of_kind = [problem for problem in problems if problem.kind == kind]
        if of_kind:
            lines += ["", f"{kind}:"]
            lines += [_line(problem) for problem in of_kind[:_SHOWN]]
            if len(of_kind) > _SHOWN:
                lines.append(f"  and {len(of_kind) - _SHOWN} more")
            get_again = kind in ("missing", "unreadable")
            advice = how_to_get(of_kind, own) if get_again else [_ADVICE[kind]]
            lines += [f"  -> {step}" for step in advice]
    return "\n".join(lines)


def _line(problem: Problem) -> str:
    if problem.kind == "bad_split_line":
        return f"  {problem.detail}"
    mark = "warning: " if problem.severity == "warning" else ""
    return f"  {mark}{problem.sample}  {problem.file}: {problem.detail}"
