"""Labelling one sample, from images to files, in a worker process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.datasets import dataset_class
from flowdistill.data.sample import Sample
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.labels.combine import make_labels
from flowdistill.labels.config import CheckpointPart, LabelConfig
from flowdistill.labels.estimate import Teacher
from flowdistill.labels.files_teacher import FilesTeacher
from flowdistill.labels.folder import labelling, read_counts, write_counts
from flowdistill.labels.opencv_teacher import OpenCVTeacher
from flowdistill.labels.statistics import Tally, tally
from flowdistill.labels.writer import keys_to_write, write_labels

OpenCheckpoint = Callable[[CheckpointPart, bool, bool], Teacher]
"""(part, need flow, need disparity) -> a teacher. Passed in, so that this package does not depend on networks."""


@dataclass(frozen=True)
class LabelJob:
    """Makes the labels of one sample per call, unless they exist; picklable and small.

    Attributes:
        config: the settings.
        fingerprint: the settings (config and checkpoints) as JSON: jobs with the same one share their teachers.
        root: the data folder.
        folder: of the labels.
        open_checkpoint: see `OpenCheckpoint`.
    """

    config: LabelConfig = field(compare=False)
    fingerprint: str
    root: Path
    folder: Path
    open_checkpoint: OpenCheckpoint

    def __call__(self, entry: SplitEntry) -> dict[str, Tally]:
        """Label one sample; returns the counts by key of the batch contract.

        Raises:
            UserError: images are missing or damaged, a teacher fails, or files cannot be written.
        """
        done = read_counts(self.folder, entry, keys_to_write(self.config))
        if done is not None:
            return done
        sample = _read(self.config, self.root, entry)
        labels = make_labels(sample, _teachers(self), self.config)
        counts = {key: tally(label, *_truth(sample, key)) for key, label in labels.motions.items()}
        with labelling(self.folder, json.loads(self.fingerprint), entry):
            write_labels(self.folder, entry, labels)
            write_counts(self.folder, entry, counts)
        return counts


@lru_cache(maxsize=1)
def _teachers(job: LabelJob) -> dict[str, Teacher]:
    """Open the config's teachers for the motions that it requires, once per process.

    Raises:
        UserError: one cannot be opened.
    """
    teachers: dict[str, Teacher] = {}
    for name, part in job.config.teachers.items():
        flow, disparity = name in job.config.motions.flow, name in job.config.motions.disparity
        if part.opencv is not None:
            teachers[name] = OpenCVTeacher(part.opencv, flow, disparity)
        elif part.files is not None:
            teachers[name] = FilesTeacher(part.files)
        elif part.checkpoint is not None:
            teachers[name] = job.open_checkpoint(part.checkpoint, flow, disparity)
    return teachers


def settings_of(config: LabelConfig) -> dict[str, Any]:
    """Return all settings that affect the labels: the config, and the weights of checkpoints by SHA-256.

    Raises:
        UserError: a checkpoint does not exist.
    """
    settings = asdict(config)
    for checks in settings["confidence"].values():
        if not checks["calibrated"]:
            del checks["calibrated"]  # labels made before this check existed have the same settings
    for name, part in config.teachers.items():
        if part.checkpoint is not None:
            path = Path(part.checkpoint.path)
            if not path.is_file():
                raise UserError(f"teachers.{name}.checkpoint.path: there is no file {path}.")
            found = settings["teachers"][name]["checkpoint"]
            found["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            del found["path"], found["device"]  # the same weights elsewhere are the same teacher
            if (calibration := found.pop("calibration")) is not None:
                if not Path(calibration).is_file():
                    raise UserError(
                        f"teachers.{name}.checkpoint.calibration: there is no file {calibration}."
                    )
                found["calibration_sha256"] = hashlib.sha256(Path(calibration).read_bytes()).hexdigest()
    return settings


def open_images(config: LabelConfig, root: Path, entries: list[SplitEntry]) -> MotionDataset:
    """Open the dataset of the images to label, without labels; the entries' own `labels=` are ignored.

    Raises:
        UserError: images are missing, or the entries do not fit the config's view.
    """
    return dataset_class(config.dataset)(
        str(root), [replace(entry, labels=None) for entry in entries], config.view, False, config.options
    )


def _read(config: LabelConfig, root: Path, entry: SplitEntry) -> Sample:
    """Read a sample, with its ground truth if available."""
    images = open_images(config, root, [entry])
    if images.without_truth() is None and entry.camera in images.labelled_cameras:
        alone = [replace(entry, labels=None)]
        with_truth = type(images)(str(root), alone, config.view, True, config.options, require_files=False)
        if next(with_truth.missing(), None) is None:
            return with_truth[0]
    return images[0]


def _truth(sample: Sample, key: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    values = cast(dict[str, Tensor], sample)
    valid = f"valid_{key}"
    if key not in values:
        return None, None
    mask = values[valid] if valid in values else ~values[f"occluded{key.removeprefix('flow')}"]
    return values[key].numpy().transpose(1, 2, 0), mask[0].numpy()
