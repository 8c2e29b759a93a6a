"""Advice on where to get missing or damaged files: from an archive, a teacher, or the user."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from flowdistill.check.downloads import DOWNLOADS, archive_of, is_own
from flowdistill.check.examine import FileReport
from flowdistill.check.plan import Plan
from flowdistill.check.problems import Problem
from flowdistill.data.access import is_locked
from flowdistill.data.tree import many

Tree = tuple[str, str]
"""Name of a dataset and its data folder."""
Own = Mapping[Tree, bool]
"""The trees with the user's own data, and whether they contain labels."""

_LEAVE_OUT = "or exclude the samples (--exclude-to FILE, then --data.init_args.exclude FILE)"


def own_trees(plan: Plan, reports: Sequence[Sequence[FileReport]]) -> dict[Tree, bool]:
    """Return the trees with the user's own data in the layout of a benchmark, recognised by their image sizes.

    Args:
        plan: of the check.
        reports: for each of `plan.jobs`, in order: one report per file.
    """
    report_of = plan.by_file(reports)
    sizes: dict[Tree, set[tuple[int, int]]] = {}
    labelled: set[Tree] = set()
    for sample in itertools.chain.from_iterable(plan.splits):
        tree = sample.dataset, sample.root
        for file in (*sample.files, *sample.spare):
            size = report_of[file.path, file.kind].size
            if size is None:
                continue
            if file.group == "image":
                sizes.setdefault(tree, set()).add(size)
            elif file.group != "proxy":
                labelled.add(tree)
        sizes.setdefault(tree, set())
    return {tree: tree in labelled for tree, found in sizes.items() if is_own(tree[0], found)}


def how_to_get(problems: Sequence[Problem], own: Own) -> Iterator[str]:
    """Yield advice for files that are all missing, or all unreadable; one line per source."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for problem in {problem.file: problem for problem in problems}.values():
        inner = os.path.relpath(problem.file, problem.root)
        groups.setdefault((problem.dataset, problem.root, _source(problem, inner, own)), []).append(inner)
    for (dataset, root, source), files in groups.items():
        number = many(len(files), "file")
        tree = f"(`flowdistill data tree {dataset}`)"
        if source in _WITHOUT_ARCHIVE:
            yield f"{number} such as {files[0]}: {_WITHOUT_ARCHIVE[source]} {tree}."
            continue
        verb = "Get again" if problems[0].kind == "unreadable" else "Get"
        where = (
            f"{verb} {source} from {DOWNLOADS[dataset].page} and unpack it so that {root} contains {files[0]}"
        )
        if (dataset, root) in own:
            mend = _MEND[problems[0].kind]
            where = f"{mend}, {_LEAVE_OUT}. If this is {dataset} itself, with other image sizes: {where}"
        yield f"{number}: {where} {tree}."


# `data/video.py` stores decoded frames there, or below the user's cache.
_VIDEO_FRAMES = re.compile(r"/\.flowdistill/video/|/flowdistill/[0-9a-f]+-video/")
_MEND: dict[str, str] = {"missing": "Add them", "unreadable": "Replace or re-encode them"}
_WITHOUT_ARCHIVE = {
    "closed": "this user has no permission to read them. Use `chmod u+r`, or ask their owner",
    "proxy": f"create them again with `flowdistill labels make`, {_LEAVE_OUT}",
    "video": "remove this folder, then the video is decoded again",
    **{kind: f"not part of any download. {mend}, {_LEAVE_OUT}" for kind, mend in _MEND.items()},
}


def _source(problem: Problem, inner: str, own: Own) -> str:
    """Return the source of a file: a key of `_WITHOUT_ARCHIVE`, or the name of an archive."""
    labels = problem.entry.labels if problem.entry is not None else None
    if is_locked(problem.file):
        return "closed"
    if labels is not None and inner.startswith(f"{labels}/"):
        return "proxy"
    if _VIDEO_FRAMES.search(problem.file):
        return "video"
    archive = archive_of(problem.dataset, inner)
    tree = problem.dataset, problem.root
    # A tree with images only is the user's own; one with labels may be a resized copy of the benchmark.
    return problem.kind if archive is None or not own.get(tree, True) else archive
