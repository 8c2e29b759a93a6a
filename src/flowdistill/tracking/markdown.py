"""A run card as a Markdown page: a summary, tables of numbers, and the whole config at the end."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdistill.tracking import units
from flowdistill.tracking.git import commit_page
from flowdistill.tracking.links import Links
from flowdistill.tracking.sections import Code, FileRecord, Part, Split, StepTime, Training
from flowdistill.tracking.wandb_record import read_record

if TYPE_CHECKING:
    from flowdistill.tracking.card import RunCard

# Files of a run's folder, linked if they exist.
_BESIDE = ("config.yaml", "metrics.csv", "non_finite.csv", "checkpoints", "pictures")


def to_markdown(card: RunCard, folder: Path | None = None) -> str:
    """Return the page, ending with a line feed.

    Args:
        card: to show.
        folder: that will contain the page: paths on the page are linked relative to it.
    """
    links = Links(folder)
    blocks = [f"# Run card: {card.name}", _table(("", ""), _summary(card, links))]
    rows: list[tuple[str, ...]]
    if card.metrics:
        step = None if card.training is None else card.training["metrics_step"]
        title = "## Metrics" if step is None else f"## Metrics of the last validation, step {step:,}"
        rows = [(_code(name), units.number(value)) for name, value in sorted(card.metrics.items())]
        blocks += [title, _table(("metric", "value"), rows, right=(1,))]
    files = [
        (kind, name, record)
        for kind, records in (("input", card.inputs), ("output", card.outputs))
        for name, record in records.items()
    ]
    if files:
        rows = [
            (f"{kind} {name}", _file(record, links), _code(record["sha256"])) for kind, name, record in files
        ]
        blocks += ["## Files", _table(("", "file", "SHA-256"), rows)]
    if card.splits:
        head = ("", "split", "below", "samples", "SHA-256 of the entries")
        rows = [row for use, split in card.splits.items() for row in _split_rows(use, split, links)]
        blocks += ["## Samples", _table(head, rows, right=(3,))]
    if card.training is not None and len(card.training["parts"]) > 1:
        rows = [_part(part, links) for part in card.training["parts"]]
        blocks += ["## Parts", _table(("folder", "steps", "time", "commit", "resumed from"), rows)]
    blocks += ["## Command", f"```sh\n{_wrapped(card.command)}\n```"]
    versions = ", ".join(f"{name} {found}" for name, found in card.versions.items() if found is not None)
    blocks += ["## Versions", versions]
    if card.config:
        blocks += ["## Config", "Without what is null.", f"```yaml\n{_yaml(card.config)}```"]
    return "\n\n".join(blocks) + "\n"


def _summary(card: RunCard, links: Links) -> Iterable[tuple[str, str]]:
    training = card.training
    yield "status", card.status if card.reason is None else f"{card.status}: {card.reason}"
    if model := (card.config.get("model") or {}).get("class_path"):
        yield "model", str(model).rpartition(".")[2]
    for use, split in card.splits.items():
        yield f"data, {use}", _split_words(split, links)
    if training is not None:
        yield "steps", _steps(training)
        yield from ((name, _file(record, links)) for name, record in card.inputs.items())
    if seeds := [f"{name} {value}" for name, value in card.seeds.items() if value is not None]:
        yield "seeds", ", ".join(seeds)
    if training is not None:
        used = training["devices"]
        nodes = f" on {used['nodes']} nodes" if used["nodes"] > 1 else ""
        names = ", ".join(dict.fromkeys(used["names"]))
        yield (
            "devices",
            f"{used['devices']} x {used['accelerator']}{nodes} ({names}), precision {used['precision']}",
        )
        yield "step time", _step_time(training["step_time"])
    yield "wall time", f"{units.seconds(card.wall_time)}, {_when(card.started, card.finished)}"
    yield "peak memory", _memory(card.memory["process"], card.memory["cuda"])
    if training is not None and (best := training["best"]) is not None:
        yield "best", f"{_code(best['metric'])} {units.number(best['value'])} ({best['mode']})"
    for name, record in card.weights.items():
        yield f"weights, {name}", f"{_file(record, links)}, SHA-256 {_code(record['sha256'])}"
    if training is not None and not card.weights:
        yield "weights", "none in this run's folder"
    if links.page is not None and (
        beside := [links.file(name) for name in _BESIDE if (links.page / name).exists()]
    ):
        yield "beside this page", ", ".join(beside)
    at_wandb = {} if links.page is None else read_record(links.page)
    if at_wandb:
        yield "W&B", links.address(f"{at_wandb.get('project')}/{at_wandb['id']}", at_wandb.get("url"))
    yield "code", _commit(card.code, links)


def _split_words(split: Split, links: Links) -> str:
    parts = [
        (f"{source['weight']} x " if source["weight"] > 1 else "")
        + f"{source['dataset']} {links.file(source['split'])}"
        for source in split["sources"]
    ]
    return f"{' + '.join(parts)}, {split['entries']:,} samples"


def _split_rows(use: str, split: Split, links: Links) -> Iterable[tuple[str, ...]]:
    for source in split["sources"]:
        words = f"{source['dataset']} {links.file(source['split'])}"
        if source["exclude"] is not None:
            words += f" without {links.file(source['exclude']['path'])}"
        times = f"{source['weight']} x " if source["weight"] > 1 else ""
        root = "" if source["root"] is None else links.file(source["root"])
        yield use, words, root, f"{times}{source['entries']:,}", _code(source["sha256"])
    if len(split["sources"]) > 1:
        yield use, "the mixture", "", f"{split['entries']:,}", _code(split["sha256"])


def _steps(training: Training) -> str:
    done, planned = training["steps"], training["planned_steps"]
    words = f"{done:,}" if planned is None else f"{done:,} of {planned:,}"
    steps = [part["first_step"] for part in training["parts"] if part["resumed_from"] is not None]
    return words + (f", resumed at {', '.join(f'{step:,}' for step in steps)}" if steps else "")


def _step_time(found: StepTime) -> str:
    median, lower, upper = found["median"], found["lower_quartile"], found["upper_quartile"]
    if median is None or lower is None or upper is None:
        return "too few steps to say"
    return (
        f"{units.seconds(median)} (quartiles {units.seconds(lower)} and {units.seconds(upper)}, "
        f"{found['count']:,} steps)"
    )


def _memory(process: int | None, cuda: int | None) -> str:
    words = [] if process is None else [f"{units.size(process)} of the process"]
    words += [] if cuda is None else [f"{units.size(cuda)} on the GPU"]
    return ", ".join(words) or "unknown"


def _commit(code: Code, links: Links) -> str:
    if code["commit"] is None:
        return f"no commit: {code['reason']}"
    page = commit_page(code) if links.page is not None else None
    return links.address(_code(code["commit"]), page) + (
        " with changes that are not committed" if code["dirty"] else ""
    )


def _part(part: Part, links: Links) -> tuple[str, ...]:
    commit = "" if part["commit"] is None else part["commit"][:10] + ("+" if part["dirty"] else "")
    return (
        links.file(part["folder"]) if part["folder"] else "",
        f"{part['first_step']:,} to {part['last_step']:,}",
        units.seconds(part["seconds"]),
        commit,
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


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
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


def _yaml(config: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(_without_nulls(config), sort_keys=False, allow_unicode=True, width=110))
