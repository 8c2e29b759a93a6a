"""One trial of a sweep: a `lightning fit` process, monitored through its CSV log, and stopped if others are better.

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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optuna import Trial

from flowdistill.processes import ENDS_WITH_PARENT
from flowdistill.tracking.callback import RUN_RECORD
from flowdistill.tracking.runs import Run
from flowdistill.tracking.sweep_file import Scalar, Sweep, runnable
from flowdistill.tracking.sweep_study import beat

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


def run_trial(
    trial: Trial,
    sweep: Sweep,
    values: Mapping[str, Scalar],
    more: list[str],
    folder: Path,
    environment: Mapping[str, str],
    stop: threading.Event,
    goes_on: bool = False,
) -> Outcome:
    """Train with these values to the end, or until the sweep stops it.

    Args:
        trial: receives each value of the metric.
        sweep: provides the command.
        values: name of an option -> value.
        more: additional words of the command line.
        folder: of the trial.
        environment: of the process.
        stop: set when the sweep is to end.
        goes_on: whether to resume the run in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = [*sweep.words(values), *more]
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
            if stop.wait(_POLL):
                state = "stopped"
            elif _worse_than_others(trial, sweep.metric, folder, seen):
                state = "pruned"
            elif time.monotonic() - beaten > _BEAT:
                beat(trial)
                beaten = time.monotonic()
    finally:  # also if the storage does not respond
        if process.poll() is None:
            _end(process)
    code = process.wait()
    run = run_of(folder)
    logged, steps = read_metric(run, sweep.metric)
    if state == "complete":
        if code != 0:
            reason = _reason(folder / "output.log", code)
        elif not logged:
            reason = f"its CSV log has no {sweep.metric}"
        elif math.isnan(logged[-1]):
            reason = f"{sweep.metric} is not a number"
        state = "complete" if reason is None else "failed"
    for number in range(len(seen), len(logged)):
        trial.report(logged[number], number + 1)
    return Outcome(state, logged, steps, run, time.monotonic() - began, reason)


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
