"""`flowdistill runs`: results of trainings, differences between them, and how to resume them."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.cli.output import check_output, width, write_file
from flowdistill.cli.parsers import Commands, add_command, add_group, add_number, add_path
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from flowdistill.tracking.runs import Run

_MOST_PANELS = 15


def add_parser(commands: Commands) -> None:
    """Add the command group `runs`."""
    group = add_group(commands, "runs", "list, compare and show trainings")
    listed = add_command(group, "list", list_runs, "print a table of the runs below some folders")
    add_path(listed, "folder", "DIR", "default: runs, else the current folder", nargs="*")
    metric = "show its last and best value (default: val/epe_all)"
    listed.add_argument("--metric", default="val/epe_all", help=metric)
    orders = ("started", "metric", "name")
    listed.add_argument("--sort", choices=orders, default="started", help="default: started")
    about = "print metrics and the config keys that differ, and plot the curves"
    compare = add_command(group, "compare", compare_runs, about)
    add_path(compare, "folder", "RUN", "folders of runs, or parent folders", nargs="+")
    metrics = "which metrics (default: %(default)s)"
    compare.add_argument("--metrics", default="^(val/|train/loss$)", metavar="REGEX", help=metrics)
    add_number(compare, "--smooth", 1, "plot means of N values")
    add_path(compare, "--output", "PNG", "default: compare.png", default=Path("compare.png"))
    about = "print a run's card, or what is known about a run without one"
    show = add_command(group, "show", show_run, about)
    add_path(show, "folder", "RUN", "folder of a run")


def list_runs(options: argparse.Namespace) -> int:
    """Print a table of the runs below some folders, including crashed and running ones."""
    from flowdistill.tracking.run_tables import large_is_good, list_table
    from flowdistill.tracking.runs import find_runs

    runs = find_runs(options.folder or [Path("runs") if Path("runs").is_dir() else Path(".")])

    large = large_is_good(options.metric)

    def by_metric(run: Run) -> tuple[bool, float]:
        curve = run.curves.get(options.metric)
        best = None if curve is None else curve.best(large)
        return best is None, 0.0 if best is None else -best if large else best

    if options.sort == "metric":
        runs.sort(key=by_metric)
    elif options.sort == "started":
        runs.sort(key=lambda run: "" if run.started is None else run.started.isoformat())
    print(list_table(runs, options.metric, width()))
    _remark(runs)
    return 0


def compare_runs(options: argparse.Namespace) -> int:
    """Print last and best values of metrics and the config keys that differ, and plot the curves."""
    from flowdistill.tracking.run_tables import compare_table
    from flowdistill.tracking.runs import find_runs, names_of
    from flowdistill.visual.run_curves import draw_run_curves

    check_output(options.output, "--output")
    if options.smooth < 1:
        raise UserError(f"--smooth must be 1 or more, not {options.smooth}")
    try:
        re.compile(options.metrics)
    except re.error as error:
        raise UserError(f"--metrics {options.metrics!r} is not a regular expression: {error}") from error
    runs = find_runs(options.folder)
    if len(runs) < 2:
        raise UserError(f"{runs[0].folder} is one run; give two or more, or a parent folder")
    print(compare_table(runs, options.metrics, width()))
    names = names_of(runs)
    metrics = sorted({name for run in runs for name in run.curves if re.search(options.metrics, name)})
    if len(metrics) > _MOST_PANELS:
        shown = f"{_MOST_PANELS} of {len(metrics)} metrics"
        print(f"\nthe picture shows {shown}; select with --metrics", file=sys.stderr)
    curves = {
        metric: {name: (run.curves[metric].steps, run.curves[metric].values)
                 for name, run in zip(names, runs, strict=True) if metric in run.curves}
        for metric in metrics[:_MOST_PANELS]
    }  # fmt: skip
    if curves:
        write_file(options.output, draw_run_curves(curves, names, options.smooth))
        print(f"\npicture: {options.output}")
    else:
        print(f"\nno picture: no run has logged a metric that matches {options.metrics}")
    _remark(runs)
    return 0


def show_run(options: argparse.Namespace) -> int:
    """Print the run card as Markdown, or a summary of the folder if there is none."""
    from flowdistill.tracking.markdown import to_markdown
    from flowdistill.tracking.run_tables import columns
    from flowdistill.tracking.runs import Run, is_run

    if not options.folder.is_dir() or not is_run(options.folder):
        raise UserError(f"{options.folder} is not a run's folder; `flowdistill runs list` lists them")
    run = Run(options.folder)
    if run.card is not None and run.status != "running":
        print(to_markdown(run.card), end="")
        _remark([run])
        return 0
    planned = "" if run.planned is None else f" of {run.planned:,}"
    rows = [["run", str(run.folder)], ["status", run.status], ["model, data", f"{run.model}, {run.data}"],
            ["steps", f"{run.steps:,}{planned}"],
            *([name, f"{curve.values[-1]:.6g} at step {curve.steps[-1] + 1:,}"] for name, curve in run.curves.items()
              if name.startswith("val/") or name == "train/loss")]  # fmt: skip
    print("\n".join(columns(rows, width())))
    if run.status == "killed":
        how = "it saved no checkpoint"
        if run.last_checkpoint:
            how = f"to resume it, run the same command with --ckpt_path {run.folder}"
        print(f"\nIt wrote no run card: it was killed, or its machine was switched off; {how}.")
    _remark([run])
    return 0


def _remark(runs: list[Run]) -> None:
    for text in dict.fromkeys(text for run in runs for text in run.remarks):
        print(f"remark: {text}", file=sys.stderr)
