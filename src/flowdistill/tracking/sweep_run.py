"""`flowdistill sweep run`: run trials of a sweep, one or several at a time, until enough are done.

A trial is a `lightning fit` process, monitored through its CSV log, and stopped if others are better:

SWEEP/trial_0003/output.log   its output             SWEEP/trial_0003/run.txt   path of the run's folder
"""

from __future__ import annotations

import math
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from optuna import Study, Trial
from optuna.exceptions import StorageInternalError
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from flowdistill.errors import UserError
from flowdistill.processes import ENDS_WITH_PARENT
from flowdistill.tracking import sweep_study as studies
from flowdistill.tracking import units
from flowdistill.tracking.callback import RUN_RECORD
from flowdistill.tracking.runs import Run
from flowdistill.tracking.sweep_file import Scalar, Sweep, runnable

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_POLL, _BEAT = 0.5, 60.0  # seconds
_GRACE = 120.0  # seconds for a stopped run to finish its step and save


State = Literal["complete", "pruned", "failed", "stopped"]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended; `stopped` means that the sweep was stopped, and the trial resumes with it."""

    state: State
    values: list[float]  # of the metric, one per validation
    steps: int
    run: Path | None  # the run's folder
    seconds: float
    reason: str | None = None


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
            self._tell(trial, self._train(trial, values, environment, goes_on))

    def _next(self) -> tuple[Trial, dict[str, Scalar], bool] | None:
        """Return a trial, its values, and whether it was started before; None if all are started."""
        with self._lock:
            goes_on = bool(self._left)
            if goes_on:
                trial: Trial | None = studies.adopt(self.study, self._left.pop(0))
            else:
                # In a shared database, fail and retry once the trials of machines without a heartbeat for five minutes.
                fail_stale_trials(self.study)
                trial = studies.ask(self.study, self.count)
            if trial is None:
                return None
            values = studies.suggest(trial, self.sweep)
            drawn = [f"{name.rpartition('init_args.')[2]}={_short(value)}" for name, value in values.items()]
            self.say(f"trial {trial.number}: {'resumes' if goes_on else ', '.join(drawn)}")
            return trial, values, goes_on

    def _train(
        self, trial: Trial, values: Mapping[str, Scalar], environment: Mapping[str, str], goes_on: bool
    ) -> Outcome:
        """Train with these values to the end, or until the sweep stops it.

        Args:
            trial: receives each value of the metric.
            values: name of an option -> value.
            environment: of the process.
            goes_on: whether to resume the run in the trial's folder.
        """
        folder = self.folder / f"trial_{trial.number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        words = [*self.sweep.words(values), *self.more]
        before = run_of(folder) if goes_on else None
        if before is None:
            (folder / "run.txt").unlink(missing_ok=True)  # from an earlier search in this folder
        elif (before / "checkpoints" / "last.ckpt").is_file():
            words += ["--ckpt_path", str(before)]
        (folder / "command.sh").write_text(shlex.join(words) + "\n")
        began = time.monotonic()
        own = {**environment, RUN_RECORD: str((folder / "run.txt").resolve()), ENDS_WITH_PARENT: "1"}
        with (folder / "output.log").open("ab") as log:
            try:
                process = subprocess.Popen(
                    runnable(words), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=own,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                return Outcome("failed", [], 0, None, 0.0, f"{words[0]} cannot be started: {error.strerror}")
        seen: list[float] = []
        state: State = "complete"
        reason = None
        beaten = 0.0
        try:
            while state == "complete" and process.poll() is None:
                if self._stop.wait(_POLL):
                    state = "stopped"
                elif _worse_than_others(trial, self.sweep.metric, folder, seen):
                    state = "pruned"
                elif time.monotonic() - beaten > _BEAT:
                    studies.beat(trial)
                    beaten = time.monotonic()
        finally:  # also if the storage does not respond
            if process.poll() is None:
                _end(process)
        code = process.wait()
        run = run_of(folder)
        logged, steps = read_metric(run, self.sweep.metric)
        if state == "complete":
            if code != 0:
                reason = _reason(folder / "output.log", code)
            elif not logged:
                reason = f"its CSV log has no {self.sweep.metric}"
            elif math.isnan(logged[-1]):
                reason = f"{self.sweep.metric} is not a number"
            state = "complete" if reason is None else "failed"
        for number in range(len(seen), len(logged)):
            trial.report(logged[number], number + 1)
        return Outcome(state, logged, steps, run, time.monotonic() - began, reason)

    def _tell(self, trial: Trial, outcome: Outcome) -> None:
        with self._lock:
            best = (max if self.sweep.maximize else min)(outcome.values, default=None)
            trial.set_user_attr("run", None if outcome.run is None else str(outcome.run))
            trial.set_user_attr("steps", outcome.steps)
            trial.set_user_attr("seconds", trial.user_attrs.get("seconds", 0.0) + outcome.seconds)
            trial.set_user_attr("best", best)
            last = outcome.values[-1] if outcome.values else None
            shown = "no value" if last is None else f"{self.sweep.metric} {units.number(last)}"
            ended = f"{shown} after {outcome.steps:,} steps, {units.seconds(outcome.seconds)}, {outcome.run}"
            words = {
                "complete": ended,
                "pruned": f"stopped early, {ended}",
                "failed": f"failed: {outcome.reason}",
                "stopped": f"stopped at step {outcome.steps}; the same command resumes it",
            }
            if outcome.state == "failed":
                trial.set_user_attr(studies.REASON, outcome.reason)
            if outcome.state != "stopped":
                final = last if outcome.state == "complete" else None
                self.study.tell(trial, final, state=_STATES[outcome.state])
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


def run_of(folder: Path) -> Path | None:
    """Return the folder of a trial's run, or None if there is none yet."""
    try:
        return Path((folder / "run.txt").read_text().strip())
    except OSError:
        return None


def read_metric(run: Path | None, metric: str) -> tuple[list[float], int]:
    """Return a metric's values in a run's CSV log, in order, and the logged steps."""
    if run is None:
        return [], 0
    found = Run(run)
    return found.curves[metric].values if metric in found.curves else [], found.logged_steps


def _worse_than_others(trial: Trial, metric: str, folder: Path, seen: list[float]) -> bool:
    """Report new values of the metric; returns whether the pruner stops this trial."""
    logged, _ = read_metric(run_of(folder), metric)
    for value in logged[len(seen) :]:
        seen.append(value)
        trial.report(value, len(seen))
        if trial.should_prune():
            return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a training so that it saves and ends, together with its other processes."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _reason(log: Path, code: int) -> str:
    """Return the last error or line of a failed run's output."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["no output"]
    errors = [line for line in lines if line.startswith("error: ")]
    said = errors[-1].removeprefix("error: ") if errors else lines[-1].strip()
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"{said} ({ended})"
