"""Exclusion lists of samples with problems, one per data set, because ids are only unique within a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowdistill.check.plan import named_splits
from flowdistill.check.problems import Problem
from flowdistill.data.datamodule import MotionDataModule
from flowdistill.data.datasets import dataset_class
from flowdistill.data.exclusion import read_exclusions
from flowdistill.data.splits import SplitEntry


def exclusion_lists(
    path: Path, problems: Sequence[Problem], module: MotionDataModule
) -> dict[Path, tuple[str, list[SplitEntry]]]:
    """Return file -> config key for it, and the entries to exclude.

    `path` is for the data module's own data set and root; mixture sources with another one get their own list,
    `<stem>-<number><suffix>`. Samples that the config already excludes remain excluded.
    """
    places: dict[tuple[str, str | None], tuple[str, str | None]] = {
        (module.dataset, module.root): ("data.init_args.exclude", module.exclude)
    }
    for named in named_splits(module):
        source = named.source
        places.setdefault((named.dataset, source.root), (f"{named.place}.exclude", source.exclude))
    lists: dict[Path, tuple[str, list[SplitEntry]]] = {}
    for number, ((name, root), (key, exclude)) in enumerate(places.items()):
        file = path if number == 0 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        dataset = dataset_class(name)
        entries = [] if exclude is None else read_exclusions(exclude, dataset)
        found = str(Path(root or "").expanduser())
        entries += [
            problem.entry
            for problem in problems
            if problem.entry is not None and (problem.dataset, problem.root) == (name, found)
        ]
        lists[file] = key, list(dict.fromkeys(entries))
    return lists
