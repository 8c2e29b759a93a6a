"""Building blocks of the recipes' reports: tables, goals, comparisons over seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from flowdistill.formats import write_atomically
from flowdistill.recipes.scores import Row

Scores = dict[str, Row]  # method -> errors

#: Column of a demo's table -> its title.
COLUMNS = {
    "epe_all": "flow EPE", "epe_noc": "noc", "epe_occ": "occ", "fl_all": "Fl %",
    "disparity_t0_epe_all": "disparity EPE", "d1_all": "D1 %",
    "disparity_t1_epe_all": "disparity t1 EPE", "d2_all": "D2 %",
}  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """A target ratio of two errors in a demo, with the measured ratio."""

    text: str
    ratio: float
    limit: float
    reached: bool

    def __str__(self) -> str:
        verdict = "reached" if self.reached else "NOT REACHED"
        return f"{verdict}: {self.text}: ratio {self.ratio:.2f}, at most {self.limit}"


def goal(rows: Scores, text: str, column: str, method: str, baseline: str, limit: float) -> Goal:
    """Check whether a method's error is at most `limit` times that of a baseline."""
    ratio = rows[method][column] / rows[baseline][column]
    return Goal(text, ratio, limit, ratio <= limit)


def write_table(output: Path, rows: Scores) -> None:
    """Write table.json, and table.md with one row per method: errors in px, rates in percent of the pixels."""
    lines = [_line([method], row, COLUMNS) for method, row in rows.items()]
    text = "\n".join([*header(["validation scenes", *COLUMNS.values()]), *lines]) + "\n"
    write_atomically(output / "table.json", json.dumps(rows, indent=2).encode())
    write_atomically(output / "table.md", text.encode())


def print_goals(output: Path, goals: Sequence[Goal]) -> bool:
    """Print table.md and the goals, and save the goals in goals.json; return whether all were reached."""
    print((output / "table.md").read_text())
    for one in goals:
        print(one)
    write_atomically(output / "goals.json", json.dumps([vars(one) for one in goals], indent=2).encode())
    return all(one.reached for one in goals)


def table_over_seeds(
    scores: Mapping[int, Scores],
    columns: Mapping[str, str],
    over: Mapping[str, Callable[[list[float]], float]],
    more: Mapping[str, Callable[[Row], str]] | None = None,
) -> str:
    """Return Markdown: one row per seed and method, then one row per method over the seeds.

    Args:
        scores: scores by seed.
        columns: key of a row -> title.
        over: name -> statistic over the seeds, such as their mean.
        more: title -> cell function of additional columns.
    """
    more = more or {}
    lines = header(["seed", "method", *columns.values(), *more])
    for seed, methods in sorted(scores.items()):
        lines += [_line([str(seed), method], row, columns, more) for method, row in methods.items()]
    for title, compute in over.items():
        for method in next(iter(scores.values())):
            rows = [found[method] for found in scores.values()]
            keys = set.intersection(*(set(row) for row in rows))
            row = {key: compute([row[key] for row in rows]) for key in keys}
            lines.append(_line([title, method], row, columns, more))
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float]) -> float:
    """Largest minus smallest value."""
    return max(values) - min(values)


def shows(gains: Sequence[float]) -> bool:
    """Whether the mean gain over several seeds is larger than their spread."""
    return len(gains) > 1 and mean(gains) > spread(gains)


def verdict(gains: Sequence[float]) -> str:
    """Describe the result of `shows`; a single seed has no spread and is inconclusive."""
    if len(gains) == 1:
        return "inconclusive with one seed"
    if shows(gains):
        return "supported"
    return "within the spread" if mean(gains) > 0 else "NOT supported"


def header(titles: Sequence[str]) -> list[str]:
    """Return the first two lines of a Markdown table."""
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def _line(
    names: Sequence[str],
    row: Row,
    columns: Mapping[str, str],
    more: Mapping[str, Callable[[Row], str]] | None = None,
) -> str:
    cells = [f"{row[key]:.2f}" if key in row else "–" for key in columns]
    cells += [cell(row) for cell in (more or {}).values()]
    return f"| {' | '.join([*names, *cells])} |"
