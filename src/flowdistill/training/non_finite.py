"""Policy for steps whose loss or gradient is not finite: abort the run, or skip a limited number of them."""

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
from flowdistill.training.run_folder import checkpoint_folder, run_folder

LOG = "non_finite.csv"
_MOST_DUMPS = 5  # per process: a batch takes about 100 MB
_MOST_NAMES = 5


class NonFinitePolicy:
    """Counts non-finite steps, also across resumed parts of a run, and ends the run after too many.

    They change no weight (`optimisers.skip_unless_finite`). Each is reported in one line and written to non_finite.csv
    in the run's folder, and its batch is written to a file for `flowdistill debug batch`.

    Args:
        skip: how many are skipped; 0 stops at the first.
        advice: what to try, for the error message.
    """

    def __init__(self, skip: int, advice: str) -> None:
        if skip < 0:
            raise UserError(f"skip_non_finite must be 0 or more, got {skip}")
        self.skip, self.advice = skip, advice
        self.seen: list[str] = []  # one line each
        self.samples: Counter[str] = Counter()  # in how many of their batches each sample occurred
        self._last = -1  # the last counted step
        self._dumps = 0

    def state(self) -> dict[str, Any]:
        """State for a checkpoint: plain values only."""
        return {"steps": list(self.seen), "samples": dict(self.samples)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.seen, self.samples = list(state.get("steps", ())), Counter(state.get("samples", {}))

    def handle(
        self, found: Sequence[NonFinite], trainer: pl.Trainer, everywhere: Callable[[str], list[str]]
    ) -> None:
        """Record non-finite steps; must be called on all processes with the same steps.

        Args:
            found: the steps, in order.
            trainer: of the run.
            everywhere: gathers the processes' texts.

        Raises:
            NonFiniteLossError: there are too many; the same text on all processes.
        """
        folder = run_folder(trainer)
        for each in found:
            again = each.step == self._last  # another batch accumulated in the same step
            if again and each.what == GRADIENT:
                continue  # caused by the loss of the previous batch, which is already reported
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
                f"warning: {each.title}\nThis step changed no weight; {len(self.seen)} of at most {self.skip} skipped "
                f"steps (skip_non_finite).{dumped}"
            )

    def _text(self, last: NonFinite, dumped: str, folder: Path, trainer: pl.Trainer) -> str:
        before = ""
        if len(self.seen) > 1:
            repeated = _repeated(self.samples, len(self.seen))
            before = f"\nSkipped before it: {'; '.join(self.seen[:-1])} ({folder / LOG}).\n{repeated}"
        checkpoints = checkpoint_folder(trainer)
        hint = newest_finite(checkpoints) if checkpoints is not None and trainer.is_global_zero else ""
        hint = trainer.strategy.broadcast(hint)  # the same message on all processes
        return f"{last.title}\n{self.advice} This step changed no weight.{dumped}{before}\n{hint}".rstrip()


def _repeated(samples: Counter[str], steps: int) -> str:
    """Describe which samples occurred in several of these steps."""
    often = [f"{name} ({count} times)" for name, count in samples.most_common(_MOST_NAMES) if count > 1]
    if often:
        return f"Samples that occurred more than once in these {steps} steps: {', '.join(often)}."
    return f"No sample occurred twice in these {steps} steps."


def newest_finite(folder: Path) -> str:
    """Describe the newest checkpoint of a run that can be read and has only finite weights."""
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
    except OSError as error:  # must not raise: the other processes wait for this one
        note(f"{file}: {error.strerror or error}; not written: {each.title}")
