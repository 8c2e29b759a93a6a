"""The table of a data check on the screen, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from flowdistill.check.problems import KINDS, Kind, Problem
from flowdistill.check.sources import Own, how_to_get
from flowdistill.data.tree import many

_SHOWN = 4

_ADVICE: dict[Kind, str] = {
    "bad_split_line": "Correct the lines, or take a standard split (`flowdistill data splits` writes them).",
    "size_mismatch": "Take these files and their neighbours from the same source again, or leave the samples out.",
    "non_finite": "Training counts these pixels as unknown. Leave the samples out, or unpack the files again.",
    "out_of_range": "Training believes these values. Unpack the files again, or leave the samples out.",
    "wrong_sign": "Does the file belong to another layout, or to the other camera? Compare `flowdistill data tree`.",
    "wrong_content": "Training believes these values. Look at a few (`flowdistill picture FILE`), mend what wrote "
    "them, or leave the samples out.",
    "empty_label": "Nothing can be learned or measured here. Unpack the files again, or leave the samples out.",
}


def table(problems: Sequence[Problem], samples: int, files: int, fast: bool, own: Own) -> str:
    """Counts by kind, the first problems of each, and what to do.

    Args:
        problems: all that was found.
        samples, files: how many were looked at.
        fast: whether at headers only.
        own: the trees of the user's own, which no archive is to be unpacked into.
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
            lines += [f"  -> {advice}" for advice in _advice(kind, of_kind, own)]
    return "\n".join(lines)


def _line(problem: Problem) -> str:
    if problem.kind == "bad_split_line":
        return f"  {problem.detail}"
    mark = "warning: " if problem.severity == "warning" else ""
    return f"  {mark}{problem.sample}  {problem.file}: {problem.detail}"


def _advice(kind: Kind, problems: Sequence[Problem], own: Own) -> Iterator[str]:
    if kind in ("missing", "unreadable"):
        yield from how_to_get(problems, own)
    else:
        yield _ADVICE[kind]
