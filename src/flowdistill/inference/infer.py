"""Predict images, folders, lists and videos into files, resumably: the work of `flowdistill infer`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.inference.inputs import Sample, Source
from flowdistill.inference.outputs import Outputs
from flowdistill.inference.predictor import Predictor, as_tensor, stacked
from flowdistill.inference.stream import Busy, run_stream

RECORD = "infer.json"


@dataclass(frozen=True)
class Work:
    """What is predicted for each sample, and how many samples at once."""

    backward: bool = False
    occlusion: bool = False
    confidence: bool = False
    batch_size: int = 1

    def keys(self, predictor: Predictor) -> list[str]:
        """Return the keys of the batch contract that are written."""
        keys = ["flow", *(["disparity_t0", "disparity_t1"] if predictor.needs_stereo else [])]
        doubts = [f"confidence_{key}{suffix}" for key in keys for suffix in ("", "_1px")]
        keys += ["flow_backward"] if self.backward else []
        keys += ["occluded"] if self.occlusion else []
        return keys + (doubts if self.confidence else [])


def infer(predictor: Predictor, source: Source, outputs: Outputs, work: Work, skip: bool) -> tuple[Busy, int]:
    """Predict every sample of a source and write its files; returns the times and the number of samples skipped.

    Args:
        predictor: the model.
        source: the samples.
        outputs: the writer.
        work: what is predicted.
        skip: leaves out samples whose files exist.
    """
    keys = work.keys(predictor)
    skipped = 0

    def missing() -> Iterator[Sample]:
        nonlocal skipped
        with contextlib.closing(source.samples) as samples:  # type: ignore[type-var]
            for sample in samples:
                if skip and outputs.exist(sample.name, keys):
                    skipped += 1
                else:
                    yield sample

    def predict(batch: list[Sample]) -> Mapping[str, Tensor]:
        images = [{key: as_tensor(image, key) for key, image in sample.images.items()} for sample in batch]
        try:
            found = predictor.predict_batch(stacked(images), work.backward, work.occlusion, work.confidence)
        except ValueError as error:
            raise UserError(f"{batch[0].name}: {error}") from error
        return {key: found[key].cpu() for key in keys}  # waits for a GPU

    def write(batch: list[Sample], found: Mapping[str, Tensor]) -> None:
        outputs.write([sample.name for sample in batch], found)

    try:
        busy = run_stream(missing(), predict, write, work.batch_size, source.count, same=_sizes)
        for path in outputs.close():
            note(f"{path}: {outputs.rate:g} frames per second")
    except BaseException:
        outputs.abandon()
        raise
    return busy, skipped


def _sizes(sample: Sample) -> list[tuple[int, ...]]:
    return [image.shape for image in sample.images.values()]


def claim_folder(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> bool:
    """Prepare an output folder; returns whether it contains predictions with the same settings, to be continued.

    Raises:
        UserError: the folder contains something else, unless `overwrite`; or cannot be written.
    """
    record = folder / RECORD
    text = json.dumps(dict(settings), indent=2) + "\n"
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--output: {folder} is a file; choose a folder")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            if not record.is_file():
                raise UserError(
                    f"--output: {folder} is not empty and has no {RECORD} of an earlier run; choose another folder, or "
                    "--overwrite to write into it"
                )
            changed = _changed(record, settings)
            if not changed:
                return True
            raise UserError(
                f"--output: {folder} contains predictions made with other settings ({', '.join(changed)}); choose "
                "another folder, or --overwrite to replace them"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(record, text.encode())
    except OSError as error:
        raise UserError(f"--output: {folder} cannot be written: {error.strerror or error}") from error
    return False


def _changed(record: Path, settings: Mapping[str, Any]) -> list[str]:
    try:
        before = json.loads(record.read_text())
    except (OSError, ValueError):
        return [f"{RECORD} is damaged"]
    now = json.loads(json.dumps(dict(settings)))
    if not isinstance(before, dict):
        return [f"{RECORD} is damaged"]
    # The same weights may have moved, or be named from another folder.
    return sorted(key for key in {*before, *now} - {"checkpoint"} if before.get(key) != now.get(key))
