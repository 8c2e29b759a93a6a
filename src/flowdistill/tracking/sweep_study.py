"""A sweep's study in Optuna: pending trials and their results, in a file or a database shared by machines."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import platform
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna import Study, Trial
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from flowdistill.errors import UserError
from flowdistill.tracking.sweep_file import Choice, Parameter, Scalar, Sweep

JOURNAL = "study.log"
REASON = "reason"  # attribute of failed trials
_IDENTITY, _SUPERFLUOUS, _RUNNER = "sweep", "superfluous", "runner"
_HEARTBEAT, _STALE = 60, 300  # seconds


def open_study(sweep: Sweep, name: str, storage: str | None, folder: Path, seed: int = 0) -> Study:
    """Create a sweep's study, or open the existing one.

    Args:
        sweep: what to search.
        name: of the study; several sweeps may share a database.
        storage: a URL that Optuna supports, such as postgresql+psycopg://USER@HOST/DATABASE, or a journal file; by
            default one in `folder`.
        folder: of the sweep's files.
        seed: of the sampler.

    Raises:
        UserError: the storage cannot be opened, or has another sweep of this name.
    """
    place = storage or str(folder / JOURNAL)
    _quiet()
    pruner: BasePruner = NopPruner()
    if sweep.halving is not None:
        pruner = SuccessiveHalvingPruner(sweep.halving.first, sweep.halving.factor)
    try:
        study = optuna.create_study(
            storage=_storage(place), study_name=name, load_if_exists=True, pruner=pruner,
            direction="maximize" if sweep.maximize else "minimize",
        )  # fmt: skip
    except (SQLAlchemyError, OptunaError, ImportError, OSError, ValueError) as error:
        text = str(error).strip().partition("\n")[0]
        raise UserError(
            f"--storage {hidden(place)} cannot be opened: {type(error).__name__}: {text}"
        ) from error
    known = study.user_attrs.get(_IDENTITY)
    own = json.loads(json.dumps(sweep.identity()))
    if known is None:
        study.set_user_attr(_IDENTITY, own)
    elif known != own:
        raise UserError(
            f"{hidden(place)} has a sweep {name!r} with other parameters or another metric than {sweep.path}: "
            f"{_differing(known, own)}. Give this one its own name (--name), or restore the file."
        )
    study.sampler = _ByNumber(sweep, seed)
    if sweep.method == "bayes":
        # Each process has its own seed: otherwise it would try the same points as the one before.
        own_seed = seed * 100003 + len(study.get_trials(deepcopy=False))
        study.sampler = TPESampler(seed=own_seed, n_startup_trials=min(10, 4 * len(sweep.parameters)))
    return study


def ask(study: Study, count: int) -> Trial | None:
    """Return the next trial; None if `count` were started.

    Several processes may call it concurrently: the storage numbers the trials, and surplus ones are not started.
    """
    if len(trials_of(study)) >= count:
        return None
    trial = study.ask()
    if sum(other.number < trial.number for other in trials_of(study)) >= count:
        trial.set_user_attr(_SUPERFLUOUS, True)
        study.tell(trial, state=TrialState.FAIL)
        return None
    trial.set_user_attr(_RUNNER, this_process())
    return trial


def suggest(trial: Trial, sweep: Sweep) -> dict[str, Scalar]:
    """Return the values of a trial, including constants."""
    values: dict[str, Scalar] = {}
    for name, parameter in sweep.parameters.items():
        if isinstance(parameter, Choice):
            one = len(parameter.values) == 1
            values[name] = parameter.values[0] if one else trial.suggest_categorical(name, parameter.values)
        elif parameter.whole:
            step = 1 if parameter.step is None else int(parameter.step)
            values[name] = trial.suggest_int(name, int(parameter.low), int(parameter.high), step=step)
        else:
            low, high = float(parameter.low), float(parameter.high)
            values[name] = trial.suggest_float(name, low, high, log=parameter.log, step=parameter.step)
    return values


def draw(sweep: Sweep, count: int, seed: int = 0) -> list[dict[str, Scalar]]:
    """Draw values that the sweep may try, without a stored study."""
    _quiet()
    study = optuna.create_study(sampler=_ByNumber(sweep, seed))
    return [suggest(study.ask(), sweep) for _ in range(min(count, size_of_grid(sweep) or count))]


def size_of_grid(sweep: Sweep) -> int | None:
    """Return the number of grid points; None if the sweep is not a grid."""
    sizes = [len(choice.values) for choice in sweep.parameters.values() if isinstance(choice, Choice)]
    return math.prod(sizes) if sweep.method == "grid" else None


def trials_of(study: Study) -> list[FrozenTrial]:
    """Return started trials in order, without those lost with a machine, which are tried again."""

    def counts(trial: FrozenTrial) -> bool:
        lost = trial.state == TrialState.FAIL and REASON not in trial.user_attrs
        return trial.state != TrialState.WAITING and not lost and _SUPERFLUOUS not in trial.user_attrs

    return [trial for trial in study.get_trials(deepcopy=False) if counts(trial)]


def left_behind(study: Study) -> list[FrozenTrial]:
    """Return trials started by a process of this machine that no longer exists: killed, or the machine went down."""

    def left(runner: dict[str, Any]) -> bool:
        if runner.get("host") != platform.node():
            return False
        return runner["since"] is None or _since(int(runner["pid"])) != runner["since"]

    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in running if left(trial.user_attrs.get(_RUNNER, {}))]


def adopt(study: Study, number: int) -> Trial:
    """Take over a trial that was left behind, to resume it."""
    trial = Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
    trial.set_user_attr(_RUNNER, this_process())
    return trial


def beat(trial: Trial) -> None:
    """Record a heartbeat of this trial in a shared database."""
    storage: Any = trial.study._storage
    if hasattr(storage, "record_heartbeat"):
        with contextlib.suppress(Exception):
            storage.record_heartbeat(trial._trial_id)


def this_process() -> dict[str, Any]:
    """Identify this process; its start time distinguishes it from later ones with the same number."""
    return {"host": platform.node(), "pid": os.getpid(), "since": _since(os.getpid())}


def hidden(place: str) -> str:
    """Return a storage's URL without its password."""
    scheme, found, rest = place.partition("://")
    if not found or "@" not in rest:
        return place
    account, _, where = rest.rpartition("@")
    return f"{scheme}://{account.partition(':')[0]}@{where}"


def _quiet() -> None:
    """Suppress Optuna's messages on experimental features, on each study and trial; flowdistill prints its own."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def _since(pid: int) -> str | None:
    """Return a process's start time in the system's units; None if it does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        pass
    if Path("/proc").is_dir():
        return None
    try:  # no /proc: macOS
        os.kill(pid, 0)
    except OSError:
        return None
    return "unknown"


def _storage(place: str) -> BaseStorage:
    if "://" not in place:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(place))
    opened = functools.partial(
        RDBStorage, place, heartbeat_interval=_HEARTBEAT, grace_period=_STALE,
        heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=1),
    )  # fmt: skip
    for seconds in (1.0, 2.0, 4.0):
        with contextlib.suppress(IntegrityError, ProgrammingError):
            return opened()
        time.sleep(seconds)  # another machine is creating the tables
    return opened()


def _differing(known: dict[str, Any], own: dict[str, Any]) -> str:
    names = [name for name in ("metric", "maximize") if known.get(name) != own.get(name)]
    before, now = known.get("parameters", {}), own.get("parameters", {})
    names += sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return ", ".join(names)


class _ByNumber(BaseSampler):
    """Samples the points of a grid in order, the last parameter fastest; else parameters independently at random.

    The values depend only on a trial's number, not on the number or order of processes: an interrupted search that
    resumes draws the same values as without the interruption.
    """

    def __init__(self, sweep: Sweep, seed: int) -> None:
        self.parameters, self.seed = sweep.parameters, seed
        self.points: list[tuple[Scalar, ...]] = []
        if sweep.method == "grid":
            choices = [choice.values for choice in sweep.parameters.values() if isinstance(choice, Choice)]
            self.points = list(itertools.product(*choices))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        index = list(self.parameters).index(param_name)
        if self.points:
            return self.points[trial.number % len(self.points)][index]
        return _drawn(self.parameters[param_name], np.random.default_rng((self.seed, trial.number, index)))


def _drawn(parameter: Parameter, rng: np.random.Generator) -> Scalar:
    if isinstance(parameter, Choice):
        return parameter.values[int(rng.integers(len(parameter.values)))]
    low, high = parameter.low, parameter.high
    if parameter.step is not None or parameter.whole:
        step = 1 if parameter.step is None else parameter.step
        value = low + step * int(rng.integers(int((high - low) / step + 1e-9) + 1))
        return int(value) if parameter.whole else float(value)
    if parameter.log:
        return float(np.clip(np.exp(rng.uniform(np.log(low), np.log(high))), low, high))
    return float(rng.uniform(low, high))
