"""What becomes of a step whose loss or gradient is not finite: the run stops, or goes on a number of times."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.training.batch_dump import dump_batch
from flowdistill.training.checkpoints import BEST, LAST, older_checkpoints
from flowdistill.training.guards import GRADIENT, NonFinite, NonFiniteLossError
from flowdistill.training.init_from import read_checkpoint
from flowdistill.training.run_folder import run_folder

LOG = "non_finite.csv"
_MOST_DUMPS = 5  # of a process: a batch is some 100 MB
_MOST_NAMES = 5


class NonFinitePolicy:
    """Counts such steps, over all parts of a run, and ends it after too many.

    They change no weight (`optimisers.skip_unless_finite`). Each is said in one line, written to non_finite.csv in the
    run's folder, and its batch to a file for `flowdistill debug batch`.

    Args:
        skip: how many are passed over; 0 stops at the first.
        advice: what to try.
    """

    def __init__(self, skip: int, advice: str) -> None:
        if skip < 0:
            raise UserError(f"skip_non_finite must be 0 or more, got {skip}")
        self.skip, self.advice = skip, advice
        self.seen: list[str] = []  # one line each
        self.samples: Counter[str] = Counter()  # in how many of their batches each sample was
        self._last = -1  # the step that was counted last
        self._dumps = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain values."""
        return {"steps": list(self.seen), "samples": dict(self.samples)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.seen, self.samples = list(state.get("steps", ())), Counter(state.get("samples", {}))

    def handle(
        self, found: Sequence[NonFinite], trainer: pl.Trainer, everywhere: Callable[[str], list[str]]
    ) -> None:
        """Take note of such steps; all processes call it with the same ones.

        Args:
            found: the steps, in order.
            trainer: of the run.
            everywhere: gathers the processes' texts.

        Raises:
            NonFiniteLossError: they are too many; the same text in all processes.
        """
        folder = run_folder(trainer)
        for each in found:
            again = each.step == self._last  # another of the batches that one step accumulates
            if again and each.what == GRADIENT:
                continue  # follows from the loss of the batch before it, which was told
            self.samples.update(each.samples)
            if not again:
                self._last = each.step
                self.seen.append(f"step {each.step}: {each.text.splitlines()[0]}")
            if trainer.is_global_zero:
                _log(folder / LOG, each)
            dumped = ""
            if each.own and self._dumps < _MOST_DUMPS:
                self._dumps += 1
                dumped = dump_batch(trainer, each, folder)
            dumped = "".join(everywhere(dumped))
            if len(self.seen) > self.skip:
                raise NonFiniteLossError(self._text(each, dumped, folder, trainer))
            note(
                f"warning: {each.title}\nThat step changed no weight; {len(self.seen)} of {self.skip} such steps that "
                f"are passed over (skip_non_finite).{dumped}"
            )

    def _text(self, last: NonFinite, dumped: str, folder: Path, trainer: pl.Trainer) -> str:
        before = ""
        if len(self.seen) > 1:
            before = (
                f"\nPassed over before it: {'; '.join(self.seen[:-1])} ({folder / LOG}).\n"
                f"{_repeated(self.samples, len(self.seen))}"
            )
        checkpoints = getattr(trainer.checkpoint_callback, "dirpath", None)
        hint = ""
        if checkpoints is not None and trainer.is_global_zero:
            hint = newest_finite(Path(checkpoints))
        hint = trainer.strategy.broadcast(hint)  # every process ends with the same words
        return f"{last.title}\n{self.advice} That step changed no weight.{dumped}{before}\n{hint}".rstrip()


def _repeated(samples: Counter[str], steps: int) -> str:
    """In words: what several of these steps have in common."""
    often = [f"{name} ({count} times)" for name, count in samples.most_common(_MOST_NAMES) if count > 1]
    if often:
        return f"Samples met more than once in these {steps} steps: {', '.join(often)}."
    return f"No sample was met twice in these {steps} steps."


def newest_finite(folder: Path) -> str:
    """In words: the newest checkpoint of a run that can be read and whose weights are all finite."""
    files = [folder / LAST, *older_checkpoints(folder), folder / BEST]
    for path in (file for file in files if file.is_file()):
        try:
            stored = read_checkpoint(path, "")
        except UserError:
            continue
        weights: Mapping[str, Any] = stored["state_dict"]
        if all(bool(torch.isfinite(value).all()) for value in weights.values()):
            step = stored.get("global_step")
            return f"Resume before it with --ckpt_path {path} (step {step}; its weights are finite)."
    return "No checkpoint of this run exists yet."


def _log(file: Path, each: NonFinite) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new = not file.is_file()
        with file.open("a", newline="") as opened:
            writer = csv.writer(opened)
            if new:
                writer.writerow(("step", "what", "values and samples"))
            writer.writerow((each.step, each.what, each.text.replace("\n", " ")))
    except OSError as error:  # of any kind: the other processes wait for this one to go on
        note(f"{file}: {error.strerror or error}; not written: {each.title}")
