"""Building blocks of the recipes' reports: tables, goals, comparisons over seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from flowdistill.data import KittiDataset
from flowdistill.formats import write_atomically
from flowdistill.recipes.scores import Row, baselines, predictions, rendered_scenes, score

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


def compare(
    output: Path, data: Path, train_split: str, val_split: str, predicted: Mapping[str, Path]
) -> tuple[KittiDataset, Scores]:
    """Score baselines and predictions, and write table.json and table.md (errors in px, rates in percent).

    Args:
        output: folder of the tables.
        data: the rendered scenes.
        train_split: split whose mean motion is a baseline.
        val_split: the predicted split.
        predicted: method -> folder of its predictions.

    Returns:
        the data set of the validation split, and the errors.
    """
    train, val = rendered_scenes(data, train_split), rendered_scenes(data, val_split)
    methods = baselines(train) | {name: predictions(folder) for name, folder in predicted.items()}
    rows = {name: score(val, predict) for name, predict in methods.items()}
    lines = [[method, *_cells(row, COLUMNS)] for method, row in rows.items()]
    write_atomically(output / "table.json", json.dumps(rows, indent=2).encode())
    text = markdown(["validation scenes", *COLUMNS.values()], lines)
    write_atomically(output / "table.md", text.encode())
    return val, rows


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
    named = [((str(seed), method), row) for seed in sorted(scores) for method, row in scores[seed].items()]
    for title, compute in over.items():
        for method in next(iter(scores.values())):
            rows = [found[method] for found in scores.values()]
            keys = set.intersection(*(set(row) for row in rows))
            named.append(((title, method), {key: compute([row[key] for row in rows]) for key in keys}))
    lines = [[*names, *_cells(row, columns), *(cell(row) for cell in more.values())] for names, row in named]
    return markdown(["seed", "method", *columns.values(), *more], lines)


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


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in (titles, *rows)]
    lines.insert(1, "|---" * len(titles) + "|")
    return "\n".join(lines) + "\n"


def _cells(row: Row, columns: Iterable[str]) -> list[str]:
    return [f"{row[key]:.2f}" if key in row else "–" for key in columns]
