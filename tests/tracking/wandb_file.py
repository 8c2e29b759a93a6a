"""Read a W&B run from its file, independently of wandb's own reader.

A run-ID.wandb is a LevelDB log after a header of 7 bytes (":W&B", magic 0xBEE1, version): blocks of 32 KiB of records
(checksum 4 bytes, length 2, kind 1: full, first, middle, last part), whose content is a protobuf `Record`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK, _HEADER = 32768, 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(file: Path) -> Iterator[Any]:
    """The records of a run's file; an incomplete record at its end is ignored."""
    content = file.read_bytes()
    assert content[:4] == b":W&B"
    assert struct.unpack("<H", content[4:6]) == (0xBEE1,)
    place, parts = _HEADER, b""
    while place + _HEADER <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + _HEADER])
        part = content[place + _HEADER : place + _HEADER + length]
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or len(part) < length:
            return
        place += _HEADER + length
        parts = part if kind in (_WHOLE, _FIRST) else parts + part
        if kind in (_WHOLE, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record


class WandbRun:
    """A run, decoded.

    Attributes:
        id: of the run, with `project`, `job_type` and the id of its `sweep`.
        config: the last value of each key.
        history: one dict per row.
        images: key of the history -> what was logged each time: count, filenames, captions, width, height.
        artifacts: name, aliases and file names of each.
        exit_code: None if it did not end.
    """

    def __init__(self, file: Path) -> None:
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.images: dict[str, list[dict[str, Any]]] = {}
        self.artifacts: list[tuple[str, list[str], list[str]]] = []
        self.exit_code: int | None = None
        self.id = self.project = self.job_type = self.sweep = ""
        for record in records(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.id, self.project, self.job_type = (
                    record.run.run_id,
                    record.run.project,
                    record.run.job_type,
                )
                self.sweep = record.run.sweep_id
                self._update(record.run.config.update)
            elif kind == "config":
                self._update(record.config.update)
            elif kind == "history":
                self._row(record.history.item)
            elif kind == "artifact":
                found = record.artifact
                files = [entry.path for entry in found.manifest.contents]
                self.artifacts.append((found.name, list(found.aliases), files))
            elif kind == "exit":
                self.exit_code = record.exit.exit_code

    def values(self, name: str) -> list[tuple[int, float]]:
        """(step of the trainer, value) of a metric, in order."""
        return [(row["trainer/global_step"], row[name]) for row in self.history if name in row]

    def _update(self, items: Any) -> None:
        for item in items:
            self.config[".".join(item.nested_key) or item.key] = json.loads(item.value_json)

    def _row(self, items: Any) -> None:
        row: dict[str, Any] = {}
        for item in items:
            value = json.loads(item.value_json)
            if len(item.nested_key) > 1:
                row.setdefault(item.nested_key[0], {})[item.nested_key[1]] = value
            else:
                row[item.key or item.nested_key[0]] = value
        for name, value in row.items():
            if isinstance(value, dict) and str(value.get("_type", "")).startswith("images"):
                self.images.setdefault(name, []).append(value)
        self.history.append(row)


def run_file(folder: Path) -> Path:
    """The only W&B file below a folder."""
    (file,) = folder.rglob("*.wandb")
    return file
