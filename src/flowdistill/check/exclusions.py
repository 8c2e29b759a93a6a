"""Which samples to leave out, and in which list: ids mean something within one data set only."""

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
    """File -> key of the config that takes it, and the entries to leave out.

    `path` is for the data module's own data set and root; a source of a mixture that has another gets a list beside it,
    `<stem>-<number><suffix>`. What a list of the config excludes already stays excluded.
    """
    places: dict[tuple[str, str | None], tuple[str, str | None]] = {
        (module.dataset, module.root): ("data.init_args.exclude", module.exclude)
    }
    for named in named_splits(module):
        places.setdefault((named.dataset, named.root), (f"{named.place}.exclude", named.exclude))
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
