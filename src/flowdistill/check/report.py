"""The table of a data check on the screen, and what to do."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from flowdistill.check.downloads import DOWNLOADS, archive_of
from flowdistill.check.problems import KINDS, Kind, Problem

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


def table(problems: Sequence[Problem], samples: int, files: int, fast: bool) -> str:
    """Counts by kind, the first problems of each, and what to download or move where."""
    looked = f"{_many(files, 'file')} of {_many(samples, 'sample')}{', headers only' if fast else ''}"
    if not problems:
        return f"{looked}: no problems"
    warnings = sum(problem.severity == "warning" for problem in problems)
    counted = [_many(len(problems) - warnings, "problem")] if warnings < len(problems) else ["no problems"]
    counted += [_many(warnings, "warning")] if warnings else []
    counts = Counter(problem.kind for problem in problems)
    touched = len({(problem.dataset, problem.root, problem.entry) for problem in problems if problem.entry})
    width = max(len(kind) for kind in KINDS)
    lines = [f"{looked}: {' and '.join(counted)} in {_many(touched, 'sample')}", ""]
    lines += [f"  {kind:<{width}} {counts[kind]:>7}   {KINDS[kind]}" for kind in KINDS if counts[kind]]
    for kind in KINDS:
        of_kind = [problem for problem in problems if problem.kind == kind]
        if of_kind:
            lines += ["", f"{kind}:"]
            lines += [_line(problem) for problem in of_kind[:_SHOWN]]
            if len(of_kind) > _SHOWN:
                lines.append(f"  and {len(of_kind) - _SHOWN} more")
            lines += [f"  -> {advice}" for advice in _advice(kind, of_kind)]
    return "\n".join(lines)


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _line(problem: Problem) -> str:
    if problem.kind == "bad_split_line":
        return f"  {problem.detail}"
    mark = "warning: " if problem.severity == "warning" else ""
    return f"  {mark}{problem.sample}  {problem.file}: {problem.detail}"


def _advice(kind: Kind, problems: Sequence[Problem]) -> Iterator[str]:
    if kind not in ("missing", "unreadable"):
        yield _ADVICE[kind]
        return
    # One line for each archive, not for each file.
    first: dict[tuple[str, str, str | None], str] = {}
    count: Counter[tuple[str, str, str | None]] = Counter()
    for problem in {problem.file: problem for problem in problems}.values():
        inner = os.path.relpath(problem.file, problem.root)
        key = (problem.dataset, problem.root, archive_of(problem.dataset, inner))
        first.setdefault(key, inner)
        count[key] += 1
    verb = "Get" if kind == "missing" else "Get again"
    for (dataset, root, archive), inner in first.items():
        files = _many(count[dataset, root, archive], "file")
        if dataset not in DOWNLOADS:
            yield (
                f"{files} such as {inner}: copy or export again from where your frames come from, or leave the samples "
                "out (--exclude-to). Frames of a video: remove their folder, and it is decoded again."
            )
            continue
        if archive is None:
            yield (
                f"{files} such as {inner}: in no download of {dataset} (`flowdistill data tree {dataset}`). Make them "
                "again, as proxy labels with `flowdistill labels make`, or leave the samples out."
            )
            continue
        yield (
            f"{files}: {verb} {archive} from {DOWNLOADS[dataset].page} and unpack it so that {root} holds {inner} "
            f"(`flowdistill data tree {dataset}`)."
        )
