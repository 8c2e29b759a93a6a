"""`flowdistill sweep run`: run trials of a sweep, one or several at a time, until enough are done."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from optuna import Study, Trial
from optuna.exceptions import StorageInternalError
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from flowdistill.errors import UserError
from flowdistill.tracking import sweep_study as studies
from flowdistill.tracking import units
from flowdistill.tracking.sweep_file import Scalar, Sweep
from flowdistill.tracking.sweep_trial import Outcome, run_trial

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass
class Search:
    """A running sweep.

    Attributes:
        sweep: what to search.
        study: contains the trials.
        folder: parent of the trials' folders.
        count: total number of trials in the study, including those of earlier calls and of other machines.
        jobs: number of concurrent trials.
        more: additional words of each command line.
        say: called with a line on each trial.
    """

    sweep: Sweep
    study: Study
    folder: Path
    count: int
    jobs: int = 1
    more: list[str] = field(default_factory=list)
    say: Callable[[str], None] = print

    def run(self) -> None:
        """Run trials until `count` are done. When stopped, running trials save and end; the next call resumes them.

        Raises:
            UserError: the storage is not available any more.
        """
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._left = [trial.number for trial in studies.left_behind(self.study)]
        try:
            with ThreadPoolExecutor(self.jobs, thread_name_prefix="trial") as pool:
                slots = [pool.submit(self._slot, number) for number in range(self.jobs)]
                try:
                    done, _ = wait(slots, return_when=FIRST_EXCEPTION)
                    for slot in done:
                        slot.result()
                finally:
                    self._stop.set()
        except (StorageInternalError, SQLAlchemyError) as error:
            raise UserError(
                f"the sweep's storage does not respond ({str(error).splitlines()[0]}); its trials were stopped, and "
                "the same command resumes them"
            ) from error

    def _slot(self, number: int) -> None:
        environment = self._environment(number)
        while not self._stop.is_set():
            found = self._next()
            if found is None:
                return
            trial, values, goes_on = found
            folder = self.folder / f"trial_{trial.number:04d}"
            self._tell(
                trial,
                run_trial(trial, self.sweep, values, self.more, folder, environment, self._stop, goes_on),
            )

    def _next(self) -> tuple[Trial, dict[str, Scalar], bool] | None:
        """Return a trial, its values, and whether it was started before; None if all are started."""
        with self._lock, studies.quiet():
            if self._left:
                trial = studies.adopt(self.study, self._left.pop(0))
                self.say(f"trial {trial.number}: resumes")
                return trial, studies.suggest(trial, self.sweep), True
            # In a shared database, fail and retry once the trials of machines without a heartbeat for five minutes.
            fail_stale_trials(self.study)
            found = studies.ask(self.study, self.sweep, self.count)
            if found is None:
                return None
            trial, values = found
            drawn = ", ".join(
                f"{name.rpartition('init_args.')[2]}={_short(value)}" for name, value in values.items()
            )
            self.say(f"trial {trial.number}: {drawn}")
            return trial, values, False

    def _tell(self, trial: Trial, outcome: Outcome) -> None:
        with self._lock, studies.quiet():
            best = (max if self.sweep.maximize else min)(outcome.values, default=None)
            trial.set_user_attr("run", None if outcome.run is None else str(outcome.run))
            trial.set_user_attr("steps", outcome.steps)
            trial.set_user_attr("seconds", trial.user_attrs.get("seconds", 0.0) + outcome.seconds)
            trial.set_user_attr("best", best)
            last = outcome.values[-1] if outcome.values else None
            value = "no value" if last is None else f"{self.sweep.metric} {units.number(last)}"
            ended = f"{value} after {outcome.steps:,} steps, {units.seconds(outcome.seconds)}, {outcome.run}"
            words = {
                "complete": ended,
                "pruned": f"stopped early, {ended}",
                "failed": f"failed: {outcome.reason}",
                "stopped": f"stopped at step {outcome.steps}; the same command resumes it",
            }
            if outcome.state == "failed":
                trial.set_user_attr(studies.REASON, outcome.reason)
            if outcome.state != "stopped":
                self.study.tell(
                    trial, last if outcome.state == "complete" else None, state=_STATES[outcome.state]
                )
            self.say(f"trial {trial.number}: {words[outcome.state]}")

    def _environment(self, number: int) -> dict[str, str]:
        """Return the environment for one slot's trials: its share of the CPU threads, and one of several GPUs."""
        own = dict(os.environ)
        if self.jobs > 1:
            own.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // self.jobs)))
            import torch

            every = ",".join(map(str, range(torch.cuda.device_count())))
            gpus = own.get("CUDA_VISIBLE_DEVICES", every).split(",")
            if len(gpus) > 1:
                own["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
        return own


def _short(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
