"""Plan of a data check: the splits of a data config in both views, their samples and files, and the jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast

from flowdistill.check.content import JUDGED
from flowdistill.check.examine import FileKey, FileReport, Job
from flowdistill.check.problems import Problem
from flowdistill.data.access import check_open
from flowdistill.data.datamodule import MotionDataModule
from flowdistill.data.dataset import MotionDataset, ViewName
from flowdistill.data.datasets import dataset_class, examine_entries, no_pairs
from flowdistill.data.exclusion import leave_out
from flowdistill.data.files import SampleFile
from flowdistill.data.splits import SplitEntry
from flowdistill.data.views import Source
from flowdistill.errors import UserError

Labels = Literal["read", "if_there", "none"]

# Samples per job: files they share are read once, and their labels are compared with each other.
_SAMPLES_PER_JOB = 8


@dataclass(frozen=True)
class NamedSplit:
    """A split of a config, with everything needed to open it; `source` is complete.

    `labels`: "read" if they are required; "if_there" for training without labels, where labels are examined if the data
    set has them; or "none".
    """

    place: str
    dataset: str
    source: Source
    view: ViewName
    labels: Labels


@dataclass(frozen=True)
class PlannedSample:
    """A sample and its files.

    `spare` are labels that are not read in training: a missing one is a problem only if most of the same key exist.
    """

    dataset: str
    root: str
    entry: SplitEntry
    files: tuple[SampleFile, ...]
    spare: tuple[SampleFile, ...] = ()


@dataclass
class Plan:
    """Samples of each split, the jobs that examine each file once, and problems of the splits themselves."""

    splits: list[list[PlannedSample]] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    bad_lines: list[Problem] = field(default_factory=list)

    @property
    def files(self) -> int:
        """The number of files to examine."""
        return sum(len(job.files) for job in self.jobs)

    def by_file(self, results: Sequence[Sequence[FileReport]]) -> dict[FileKey, FileReport]:
        """Return file -> its report, given the results of `jobs`, in order: one report per file."""
        return {
            (file.path, file.kind): report
            for job, found in zip(self.jobs, results, strict=True)
            for file, report in zip(job.files, found, strict=True)
        }


def plan_check(module: MotionDataModule) -> Plan:
    """Plan the check of a data config.

    Raises:
        UserError: if the config has no split, or for errors that only the user can fix: a root, a split file, an
            option, a folder without access permission.
    """
    plan = Plan()
    seen: set[FileKey] = set()
    named = list(named_splits(module))
    if not named:
        raise UserError(
            "The data config has no split: set flow or scene_flow, with train_split or val_split."
        )
    for split in named:
        try:
            samples, bad = _open(split)
        except UserError as error:
            raise UserError(f"{split.place}: {error}") from error
        plan.bad_lines += [problem for problem in bad if problem not in plan.bad_lines]
        plan.splits.append(samples)
    # Scene flow first: its jobs include all files needed to check the change of disparity, so none is read twice.
    ranked = sorted(zip(named, plan.splits, strict=True), key=lambda pair: pair[0].view == "flow")
    for _, samples in ranked:
        for start in range(0, len(samples), _SAMPLES_PER_JOB):
            job = _job(samples, start, min(start + _SAMPLES_PER_JOB, len(samples)), seen)
            if job.files:
                plan.jobs.append(job)
    for folder in dict.fromkeys(os.path.dirname(file.path) for job in plan.jobs for file in job.files):
        check_open(folder)
    return plan


def named_splits(module: MotionDataModule) -> Iterator[NamedSplit]:
    """Yield all splits of a data config; training reads ground truth in the scene-flow view (DWARF) only."""
    for name, view in module.views.items():
        if view is None:
            continue
        train: Labels = "read" if name == "scene_flow" else "if_there"
        also_predicted = view.predict_split is None and module.predict_labels
        splits: list[tuple[str, str | Source | None, Labels]] = [
            ("train_split", view.train_split, train),
            *((f"train_sources[{i}]", source, train) for i, source in enumerate(view.train_sources or [])),
            ("val_split", view.val_split, "read" if module.val_labels or also_predicted else "none"),
            ("predict_split", view.predict_split, "read" if module.predict_labels else "none"),
        ]
        for key, split, labels in splits:
            if split is not None:
                place = f"data.init_args.{name}.{key}"
                (source,) = module.complete_sources([Source(split) if isinstance(split, str) else split])
                dataset = source.dataset or module.dataset
                yield NamedSplit(place, dataset, source, cast(ViewName, name), labels)


def _open(named: NamedSplit) -> tuple[list[PlannedSample], list[Problem]]:
    dataset, split = dataset_class(named.dataset), named.source.split
    options = dataset.chosen_options(named.source.options)
    root = dataset.find_root(named.source.root, options)
    read = named.labels == "read"
    check = partial(dataset.check_use, view=named.view, labels=read)
    entries, bad = examine_entries(dataset, root, split, options, check)
    problems = [
        Problem(named.dataset, root, None, line.text, split, "bad_split_line", line.message) for line in bad
    ]
    entries = leave_out(entries, named.source.exclude, dataset, split)
    if split not in dataset.split_words:
        reasons = no_pairs(dataset, root, split, entries)
        problems += [
            Problem(named.dataset, root, entry, entry.name, split, "bad_split_line", reason)
            for entry, reason in reasons.items()
        ]
        entries = [entry for entry in entries if entry not in reasons]
    samples = dataset(root, entries, named.view, read, options, require_files=False)
    spare = _spare_labels(samples) if named.labels == "if_there" else {}
    planned = [
        PlannedSample(named.dataset, root, entry, tuple(samples.files(index)), spare.get(entry, ()))
        for index, entry in enumerate(samples.entries)
    ]
    return planned, problems


def _spare_labels(samples: MotionDataset) -> dict[SplitEntry, tuple[SampleFile, ...]]:
    """Return the ground-truth files that could exist for samples without labels."""
    if samples.without_truth() is not None:
        return {}
    entries = [entry for entry in samples.entries if entry.camera in samples.labelled_cameras]
    labelled = type(samples)(samples.root, entries, samples.view, True, samples.options, require_files=False)
    return {
        entry: tuple(file for file in labelled.files(index) if file.group in ("label", "optional"))
        for index, entry in enumerate(labelled.entries)
    }


def _job(samples: Sequence[PlannedSample], start: int, end: int, seen: set[FileKey]) -> Job:
    """Return a job for the files that no earlier job examines, and add them to `seen`."""
    files = []
    wholes = [(*sample.files, *sample.spare) for sample in samples[start:end]]
    for file in (file for whole in wholes for file in whole):
        if (file.path, file.kind) not in seen:
            seen.add((file.path, file.kind))
            files.append(file)
    around = [samples[other] for other in (start - 1, end) if 0 <= other < len(samples)]
    labels = [tuple(f for f in (*other.files, *other.spare) if f.key in JUDGED) for other in around]
    before = labels[:1] if start else []
    after = labels[len(before) :]
    return Job(tuple(files), tuple(wholes), tuple(before), tuple(after))
