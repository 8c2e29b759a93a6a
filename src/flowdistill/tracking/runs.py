"""Read runs from their folders: also those that crashed, were killed, or are still running."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from flowdistill.errors import UserError
from flowdistill.tracking.card import JSON_NAME, read_card
from flowdistill.tracking.csv_rows import read_rows
from flowdistill.tracking.in_use import held_by
from flowdistill.tracking.sections import RunCard

Status = Literal["running", "completed", "interrupted", "killed"]
CONFIG, LOG = "config.yaml", "metrics.csv"
_WITHIN = ("checkpoints", "wandb", "pictures")  # a run's subfolders, which are not searched for runs


@dataclass(frozen=True)
class Curve:
    """A metric over steps; NaN where it was NaN."""

    steps: list[int]
    values: list[float]

    def best(self, largest: bool) -> float | None:
        """Return the smallest or largest value, ignoring NaN."""
        numbers = [value for value in self.values if not math.isnan(value)]
        return (max if largest else min)(numbers, default=None)


@dataclass
class Run:
    """A run's folder. Its files are read on first access; damaged files give a remark instead of an error.

    Attributes:
        folder: with config.yaml, metrics.csv, run_card.json or some of them.
        remarks: on files that could not be read.
    """

    folder: Path
    remarks: list[str] = field(default_factory=list)

    @cached_property
    def card(self) -> RunCard | None:
        """The run card; None if the run was killed or is still running."""
        if not (self.folder / JSON_NAME).is_file():
            return None
        try:
            return read_card(self.folder)
        except UserError as error:
            self.remarks.append(str(error))
            return None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The whole config, from config.yaml, else from the card."""
        try:
            content = yaml.safe_load((self.folder / CONFIG).read_text(encoding="utf-8"))
            if isinstance(content, dict):
                return content
            self.remarks.append(f"{self.folder / CONFIG} has no keys")
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            first = str(error).splitlines()[0]
            self.remarks.append(f"{self.folder / CONFIG} cannot be read: {first}")
        return {} if self.card is None else self.card.config

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """All metrics of metrics.csv by name; an incomplete last line is ignored."""
        try:
            rows = read_rows(self.folder / LOG)
        except OSError:
            return {}
        curves: dict[str, Curve] = {}
        wrong = 0
        for row in rows:
            try:
                step = int(row["step"])
                values = {
                    name: float(value) for name, value in row.items() if name and value not in ("", None)
                }
            except (KeyError, TypeError, ValueError):
                wrong += 1
                continue
            for name in set(values) - {"step", "epoch"}:
                curve = curves.setdefault(name, Curve([], []))
                curve.steps.append(step)
                curve.values.append(values[name])
        if wrong:
            self.remarks.append(f"{self.folder / LOG}: {wrong} lines are not rows of numbers")
        return dict(sorted(curves.items()))

    @cached_property
    def status(self) -> Status:
        """Status of the run; `killed` if it left no card and no process holds it (killed, or the machine went down)."""
        if held_by(self.folder) is not None:
            return "running"
        return "killed" if self.card is None else self.card.status

    @property
    def logged_steps(self) -> int:
        return max((curve.steps[-1] + 1 for curve in self.curves.values()), default=0)

    @property
    def steps(self) -> int:
        """Optimizer steps, from the log or the card."""
        training = None if self.card is None else self.card.training
        return max(
            self.logged_steps, 0 if training is None or self.status == "running" else training["steps"]
        )

    @property
    def planned(self) -> int | None:
        steps = (self.config.get("trainer") or {}).get("max_steps")
        return steps if isinstance(steps, int) and steps > 0 else None

    @property
    def started(self) -> datetime | None:
        """Start time in UTC; without a card, when the first file was written."""
        if self.card is not None:
            return datetime.fromisoformat(self.card.started)
        return self._times()[0]

    @property
    def seconds(self) -> float | None:
        """Wall time; without a card, up to the last line of the log."""
        if self.card is not None and self.status != "running":
            return self.card.wall_time
        first, last = self._times()
        return None if first is None or last is None else (last - first).total_seconds()

    @property
    def model(self) -> str:
        return str((self.config.get("model") or {}).get("class_path", "")).rpartition(".")[2]

    @property
    def data(self) -> str:
        return str(((self.config.get("data") or {}).get("init_args") or {}).get("dataset", ""))

    @property
    def last_checkpoint(self) -> Path | None:
        path = self.folder / "checkpoints" / "last.ckpt"
        return path if path.is_file() else None

    def _times(self) -> tuple[datetime | None, datetime | None]:
        files = [self.folder / name for name in (CONFIG, LOG) if (self.folder / name).is_file()]
        times = [datetime.fromtimestamp(file.stat().st_mtime, timezone.utc) for file in files]
        return min(times, default=None), max(times, default=None)


def is_run(folder: Path) -> bool:
    """Whether a folder contains the files of a run or of a recipe's step."""
    return (folder / JSON_NAME).is_file() or ((folder / CONFIG).is_file() and (folder / LOG).is_file())


def find_runs(paths: Sequence[Path]) -> list[Run]:
    """Find runs in these folders and below; each once, in the order of their paths.

    Raises:
        UserError: a path is not a folder, or there is no run at all.
    """
    found: dict[Path, Run] = {}
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path} is not a folder; runs are in folders such as runs/version_0")
        here = [path] if is_run(path) else []
        for folder, names, _ in os.walk(path):
            names[:] = sorted(
                name for name in names if name not in _WITHIN and not name.startswith((".", "attempt_"))
            )
            here += [Path(folder, name) for name in names if is_run(Path(folder, name))]
        for folder_ in here:
            found.setdefault(folder_.resolve(), Run(folder_))
    if not found:
        listed = ", ".join(map(str, paths))
        raise UserError(f"there is no run in {listed}: a run's folder has {JSON_NAME}, or {CONFIG} and {LOG}")
    return list(found.values())


def names_of(runs: Sequence[Run]) -> list[str]:
    """Return short names that distinguish the runs: their paths without the common prefix."""
    parts = [run.folder.resolve().parts for run in runs]
    if len(parts) == 1:
        return ["/".join(parts[0][-2:])]
    common = next(
        (n for n, level in enumerate(zip(*parts, strict=False)) if len(set(level)) > 1), min(map(len, parts))
    )
    return ["/".join(each[min(common, len(each) - 1) :]) for each in parts]
