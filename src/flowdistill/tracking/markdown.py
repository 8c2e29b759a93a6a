"""A run card as a Markdown page: a summary, tables of numbers, and the whole config at the end."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flowdistill.tracking import units
from flowdistill.tracking.environment import commit_page
from flowdistill.tracking.sections import FileRecord, RunCard, Source, Split
from flowdistill.tracking.wandb_record import read_record

# Files of a run's folder, linked if they exist.
_BESIDE = ("config.yaml", "metrics.csv", "non_finite.csv", "checkpoints", "pictures")


class Links:
    """Formats paths as Markdown links: relative to the page, and only to existing files and folders.

    Args:
        page: the folder that will contain the page; without one nothing is linked.
    """

    def __init__(self, page: Path | None) -> None:
        self.page = page

    def file(self, path: str) -> str:
        """Format a path as code, linked if it exists relative to the page, else to the current folder."""
        return _linked(_code(path), self._target(path))

    def _target(self, path: str) -> str | None:
        if self.page is None:
            return None
        if not Path(path).is_absolute() and (self.page / path).exists():
            return quote(Path(path).as_posix())
        try:
            if not path or not Path(path).exists():
                return None
            return quote(Path(os.path.relpath(Path(path).resolve(), self.page.resolve())).as_posix())
        except (OSError, ValueError):  # not a path, or on another drive
            return None


def to_markdown(card: RunCard, folder: Path | None = None) -> str:
    """Return the page, ending with a line feed.

    Args:
        card: to show.
        folder: that will contain the page: paths on the page are linked relative to it.
    """
    links = Links(folder)
    step = None if card.training is None else card.training["metrics_step"]
    metrics = [(_code(name), units.number(value)) for name, value in sorted(card.metrics.items())]
    files = [
        (f"{kind} {name}", _file(record, links), _code(record["sha256"]))
        for kind, records in (("input", card.inputs), ("output", card.outputs))
        for name, record in records.items()
    ]
    samples = [row for use, split in card.splits.items() for row in _split_rows(use, split, links)]
    parts = [] if card.training is None else [_part(part, links) for part in card.training["parts"]]
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]], Sequence[int]]] = [
        ("Metrics" if step is None else f"Metrics of the last validation, step {step:,}",
         ("metric", "value"), metrics, (1,)),
        ("Files", ("", "file", "SHA-256"), files, ()),
        ("Samples", ("", "split", "below", "samples", "SHA-256 of the entries"), samples, (3,)),
        ("Parts", ("folder", "steps", "time", "commit", "resumed from"), parts if len(parts) > 1 else [], ()),
    ]  # fmt: skip
    blocks = [f"# Run card: {card.name}", _table(("", ""), list(_summary(card, links)))]
    for title, head, rows, right in tables:
        if rows:
            blocks += [f"## {title}", _table(head, rows, right)]
    blocks += ["## Command", f"```sh\n{_wrapped(card.command)}\n```"]
    versions = ", ".join(f"{name} {found}" for name, found in card.versions.items() if found is not None)
    blocks += ["## Versions", versions]
    if card.config:
        import yaml

        config = yaml.safe_dump(_without_nulls(card.config), sort_keys=False, allow_unicode=True, width=110)
        blocks += ["## Config", "Without what is null.", f"```yaml\n{config}```"]
    return "\n\n".join(blocks) + "\n"


def _summary(card: RunCard, links: Links) -> Iterable[tuple[str, str]]:
    training = card.training
    yield "status", card.status if card.reason is None else f"{card.status}: {card.reason}"
    if model := (card.config.get("model") or {}).get("class_path"):
        yield "model", str(model).rpartition(".")[2]
    for use, split in card.splits.items():
        sources = " + ".join("".join(_source(source, links)) for source in split["sources"])
        yield f"data, {use}", f"{sources}, {split['entries']:,} samples"
    if training is not None:
        planned = "" if training["planned_steps"] is None else f" of {training['planned_steps']:,}"
        resumed = [
            f"{part['first_step']:,}" for part in training["parts"] if part["resumed_from"] is not None
        ]
        yield (
            "steps",
            f"{training['steps']:,}{planned}{', resumed at ' if resumed else ''}{', '.join(resumed)}",
        )
        yield from ((name, _file(record, links)) for name, record in card.inputs.items())
    if seeds := [f"{name} {value}" for name, value in card.seeds.items() if value is not None]:
        yield "seeds", ", ".join(seeds)
    if training is not None:
        used, found = training["devices"], training["step_time"]
        nodes = f" on {used['nodes']} nodes" if used["nodes"] > 1 else ""
        names = ", ".join(dict.fromkeys(used["names"]))
        kinds = f"{used['devices']} x {used['accelerator']}{nodes} ({names})"
        yield "devices", f"{kinds}, precision {used['precision']}"
        if found["count"]:
            median, lower, upper = (
                units.seconds(found[key]) for key in ("median", "lower_quartile", "upper_quartile")
            )
            yield "step time", f"{median} (quartiles {lower} and {upper}, {found['count']:,} steps)"
        else:
            yield "step time", "too few steps to say"
    yield "wall time", f"{units.seconds(card.wall_time)}, {_when(card.started, card.finished)}"
    memory = {"of the process": card.memory["process"], "on the GPU": card.memory["cuda"]}
    sizes = [f"{units.size(peak)} {where}" for where, peak in memory.items() if peak is not None]
    yield "peak memory", ", ".join(sizes) or "unknown"
    if training is not None and (best := training["best"]) is not None:
        yield "best", f"{_code(best['metric'])} {units.number(best['value'])} ({best['mode']})"
    for name, record in card.weights.items():
        yield f"weights, {name}", f"{_file(record, links)}, SHA-256 {_code(record['sha256'])}"
    if training is not None and not card.weights:
        yield "weights", "none in this run's folder"
    page, address = links.page, None
    if page is not None:
        if beside := [links.file(name) for name in _BESIDE if (page / name).exists()]:
            yield "beside this page", ", ".join(beside)
        if at_wandb := read_record(page):
            yield "W&B", _linked(f"{at_wandb.get('project')}/{at_wandb['id']}", at_wandb.get("url"))
        address = commit_page(card.code)
    commit = card.code["commit"]
    changed = " with changes that are not committed" if card.code["dirty"] else ""
    yield (
        "code",
        f"no commit: {card.code['reason']}" if commit is None else _linked(_code(commit), address) + changed,
    )


def _source(source: Source, links: Links) -> tuple[str, str]:
    """Format the weight of a source, if it has one, and its name."""
    times = f"{source['weight']} x " if source["weight"] > 1 else ""
    return times, f"{source['dataset']} {links.file(source['split'])}"


def _split_rows(use: str, split: Split, links: Links) -> Iterable[tuple[str, ...]]:
    for source in split["sources"]:
        times, words = _source(source, links)
        if source["exclude"] is not None:
            words += f" without {links.file(source['exclude']['path'])}"
        root = "" if source["root"] is None else links.file(source["root"])
        yield use, words, root, f"{times}{source['entries']:,}", _code(source["sha256"])
    if len(split["sources"]) > 1:
        yield use, "the mixture", "", f"{split['entries']:,}", _code(split["sha256"])


def _part(part: Mapping[str, Any], links: Links) -> tuple[str, ...]:
    return (
        links.file(part["folder"]) if part["folder"] else "",
        f"{part['first_step']:,} to {part['last_step']:,}",
        units.seconds(part["seconds"]),
        "" if part["commit"] is None else part["commit"][:10] + ("+" if part["dirty"] else ""),
        links.file(part["resumed_from"]) if part["resumed_from"] else "",
    )


def _file(record: FileRecord, links: Links) -> str:
    words = f"{links.file(record['path'])}, {units.size(record['bytes'])}"
    step = record.get("step")
    return words if step is None else f"{words}, step {step:,}"


def _when(started: str, finished: str) -> str:
    """Format two ISO time stamps to the minute; the date only once if it is the same."""
    first, last = (stamp[:16].replace("T", " ") for stamp in (started, finished))
    return f"{first} to {last[11:] if first[:10] == last[:10] else last} UTC"


def _wrapped(command: str) -> str:
    """Break a command line into one option per line, equivalent for a shell."""
    words = shlex.split(command)
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--") and len(words) > 6:
            lines.append([])
        lines[-1].append(word)
    return " \\\n    ".join(shlex.join(line) for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"


def _linked(text: str, address: str | None) -> str:
    return text if address is None else f"[{text}]({address})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Format a table with aligned columns, so that the page is also readable as text."""
    cells = [list(head)] + [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]
    rule = [
        "-" * (width - 1) + ":" if column in right else "-" * width for column, width in enumerate(widths)
    ]
    lines = [
        " | ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [cells[0], rule, *cells[1:]]
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
