"""Results of a sweep: a table for people, a CSV file for programs, a plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from flowdistill.formats import write_atomically
from flowdistill.tracking import units
from flowdistill.tracking.run_tables import columns
from flowdistill.tracking.sweep_file import Choice, Range, Scalar, Sweep
from flowdistill.tracking.sweep_study import REASON, trials_of
from flowdistill.visual.search import Axis, Line, draw_search

_WORDS = {
    TrialState.COMPLETE: "complete", TrialState.PRUNED: "stopped early", TrialState.FAIL: "failed",
    TrialState.RUNNING: "running", TrialState.WAITING: "waiting",
}  # fmt: skip
_MOST_ROWS = 30


def ranked(study: Study, sweep: Sweep) -> list[FrozenTrial]:
    """Return all trials: complete ones from the best, then those stopped early, then the others."""
    order = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL, TrialState.WAITING]
    sign = -1 if sweep.maximize else 1

    def place(trial: FrozenTrial) -> tuple[int, float, int]:
        value = value_of(trial)
        return order.index(trial.state), sign * value if value is not None else 0.0, trial.number

    return sorted(trials_of(study), key=place)


def value_of(trial: FrozenTrial) -> float | None:
    """Return the metric at a trial's end, or at its last validation."""
    if trial.state == TrialState.COMPLETE:
        return trial.value
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None


def short_names(sweep: Sweep) -> dict[str, str]:
    """Shorten names of varied options by dropping parts such as `init_args`, if they stay distinct."""
    constants = _constants(sweep)
    short = {}
    for name in sweep.parameters:
        if name not in constants:
            parts = [part for part in name.split(".") if part not in ("init_args", "model", "losses")]
            short[name] = ".".join(parts) or name
    return short if len(set(short.values())) == len(short) else {name: name for name in short}


def table(study: Study, sweep: Sweep, width: int | None = None) -> str:
    """Format one line per trial, at most `width` wide, and the reasons of failures."""
    trials = ranked(study, sweep)
    short = short_names(sweep)
    rows = [["", "trial", "state", sweep.metric, "best", "steps", "time", *short.values()]]
    for rank, trial in enumerate(trials[:_MOST_ROWS], 1):
        value, best = value_of(trial), trial.user_attrs.get("best")
        rows.append([
            str(rank) if trial.state == TrialState.COMPLETE else "", str(trial.number), _WORDS[trial.state],
            "" if value is None else units.number(value), "" if best is None else units.number(best),
            f"{trial.user_attrs.get('steps', 0):,}", units.seconds(trial.user_attrs.get("seconds", 0.0)),
            *(_shown(trial.params.get(name)) for name in short),
        ])  # fmt: skip
    lines = list(columns(rows, width, right=range(len(rows[0]))))
    if len(trials) > _MOST_ROWS:
        lines.append(f"... and {len(trials) - _MOST_ROWS} more, in trials.csv")
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    lines += [f"trial {trial.number} failed: {trial.user_attrs.get(REASON)}" for trial in failed[:5]]
    if len(failed) > 5:
        lines.append(f"... and {len(failed) - 5} more failed")
    if importance := importances(study, sweep):
        listed = ", ".join(f"{short[name]} {share:.0%}" for name, share in importance.items())
        lines.append(f"importance (of complete trials, PED-ANOVA): {listed}")
    return "\n".join(lines)


def write_report(study: Study, sweep: Sweep, folder: Path) -> list[Path]:
    """Write trials.csv, and search.png if at least two trials have a value; returns their paths."""
    trials = ranked(study, sweep)
    head = ["trial", "state", sweep.metric, "best", "steps", "seconds", "run", "reason", *sweep.parameters]
    rows: list[list[Any]] = []
    for trial in trials:
        attributes = [trial.user_attrs.get(name) for name in ("best", "steps", "seconds", "run", REASON)]
        values = {**_constants(sweep), **trial.params}
        own = [trial.number, _WORDS[trial.state], value_of(trial)]
        rows.append([*own, *attributes, *map(values.get, sweep.parameters)])
    written = [folder / "trials.csv"]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([head, *rows])
    write_atomically(written[0], text.getvalue().encode())
    shown = [trial for trial in trials if value_of(trial) is not None]
    if len(shown) > 1:
        written.append(folder / "search.png")
        write_atomically(written[1], _picture(study, sweep, shown))
    return written


def importances(study: Study, sweep: Sweep) -> dict[str, float]:
    """Return the relative importance of each parameter over complete trials; empty if there are too few."""
    complete = [trial for trial in trials_of(study) if trial.state == TrialState.COMPLETE]
    # A constant is not among a trial's values.
    varied = [name for name in sweep.parameters if len({trial.params.get(name) for trial in complete}) > 1]
    if len(complete) < 4 or not varied:
        return {}
    found = get_param_importances(study, params=varied)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _picture(study: Study, sweep: Sweep, trials: Sequence[FrozenTrial]) -> bytes:
    short = short_names(sweep)
    axes = [
        Axis(own, (parameter.low, parameter.high), parameter.log) if isinstance(parameter, Range)
        else Axis(own, parameter.values, False, named=True)
        for own, parameter in ((own, sweep.parameters[name]) for name, own in short.items())
    ]  # fmt: skip
    lines = [
        Line([trial.params.get(name) for name in short], value_of(trial) or 0.0, trial.state == TrialState.COMPLETE)
        for trial in trials
    ]  # fmt: skip
    importance = {short[name]: share for name, share in importances(study, sweep).items()}
    failed = sum(trial.state == TrialState.FAIL for trial in trials_of(study))
    return draw_search(axes, lines, sweep.metric, sweep.maximize, importance, failed)


def _constants(sweep: Sweep) -> dict[str, Scalar]:
    return {
        name: parameter.values[0] for name, parameter in sweep.parameters.items()
        if isinstance(parameter, Choice) and len(parameter.values) == 1
    }  # fmt: skip


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
