"""Tables of runs as text: their results, and the config keys that differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowdistill.tracking import units
from flowdistill.tracking.runs import Run, names_of

_NOT_COMPARED = re.compile(r"trainer\.(logger|default_root_dir)\b|ckpt_path$|prediction\.")  # only paths
_LARGE_IS_GOOD = re.compile(r"precision|recall|distilled_share|samples_per_second")
MISSING = "-"
_LEAST = 5  # minimum number of columns of a list in a narrow terminal


def large_is_good(metric: str) -> bool:
    """Whether larger values of a metric are better; errors, rates and losses are better when small."""
    return _LARGE_IS_GOOD.search(metric) is not None


def list_table(runs: Sequence[Run], metric: str, width: int | None) -> str:
    """Format one line per run, at most `width` wide."""
    head = ["run", "status", "steps", f"{metric}", "best", "started", "time", "commit", "model", "data"]
    rows = [head]
    for name, run in zip(names_of(runs), runs, strict=True):
        curve = run.curves.get(metric)
        last: float | str | None = None if run.card is None else run.card.metrics.get(metric)
        best = None
        if curve is not None:
            last, best = curve.values[-1], curve.best(large_is_good(metric))
        commit = None if run.card is None else run.card.code["commit"]
        planned = "" if run.planned is None or run.planned == run.steps else f" of {run.planned:,}"
        rows.append([
            name, run.status, f"{run.steps:,}{planned}" if run.steps else MISSING, _number(last), _number(best),
            MISSING if run.started is None else f"{run.started:%Y-%m-%d %H:%M}",
            MISSING if run.seconds is None else units.seconds(run.seconds),
            MISSING if commit is None else commit[:8], run.model.removesuffix("Module") or MISSING, run.data or MISSING,
        ])  # fmt: skip
    while width is not None and len(rows[0]) > _LEAST and max(map(len, columns(rows, None))) > width:
        rows = [row[:-1] for row in rows]
    return "\n".join(columns(rows, width, right=(2, 3, 4, 6)))


def compare_table(runs: Sequence[Run], metrics: str, width: int | None) -> str:
    """Format two tables with one column per run: metrics (last, and best if it differs), and differing config keys."""
    names = names_of(runs)
    found = sorted({name for run in runs for name in run.curves if re.search(metrics, name)})
    rows = [
        ["", *names],
        ["status", *(run.status for run in runs)],
        ["steps", *(f"{run.steps:,}" for run in runs)],
        *([metric, *(_last_and_best(run, metric) for run in runs)] for metric in found),
    ]
    blocks = ["\n".join(columns(rows, width))]
    different = differing([run.config for run in runs]) | differing([_provenance(run) for run in runs])
    if different:
        head = ["config", *names]
        blocks.append(
            "\n".join(columns([head, *([key, *values] for key, values in different.items())], width))
        )
    else:
        blocks.append("The configs are the same.")
    return "\n\n".join(blocks)


def _provenance(run: Run) -> dict[str, str]:
    if run.card is None:
        return {}
    samples = {
        f"samples, {use} (SHA-256)": split["sha256"][:10] for use, split in sorted(run.card.splits.items())
    }
    return {"commit of the code": str(run.card.code["commit"])[:10], **samples}


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return dotted key -> each config's value as text, for keys with differing values; `-` if a config lacks it."""
    flat = [dict(_flat(config)) for config in configs]
    keys = dict.fromkeys(key for each in flat for key in each if not _NOT_COMPARED.search(key))
    found = {key: [each.get(key, MISSING) for each in flat] for key in keys}
    return {key: values for key, values in found.items() if len(set(values)) > 1}


def columns(rows: Sequence[Sequence[str]], width: int | None, right: Sequence[int] = ()) -> Iterator[str]:
    """Yield lines with columns two spaces apart; the widest columns are truncated until a line fits into `width`."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    while width is not None and sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    for row in rows:
        cells = [_cut(cell, size) for cell, size in zip(row, widths, strict=True)]
        padded = [
            cell.rjust(size) if column in right else cell.ljust(size)
            for column, (cell, size) in enumerate(zip(cells, widths, strict=True))
        ]
        yield "  ".join(padded).rstrip()


def _cut(text: str, width: int) -> str:
    """Truncate at the front: the end of a path or dotted key is more informative."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]


def _last_and_best(run: Run, metric: str) -> str:
    curve = run.curves.get(metric)
    if curve is None:
        return MISSING
    last, best = curve.values[-1], curve.best(large_is_good(metric))
    if best is None or best == last or metric.startswith(("weight/", "lr-")):
        return _number(last)
    return f"{_number(last)} (best {_number(best)})"


def _number(value: float | str | None) -> str:
    return MISSING if value is None else units.number(value)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and their values as text."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, "null" if value is None else str(value)
