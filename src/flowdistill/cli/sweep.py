"""`flowdistill sweep`: search over loss schedules, locally or with W&B, from one YAML file."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.cli.terminal import width
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from optuna import Study

    from flowdistill.tracking.sweep_file import Sweep


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command group `sweep`."""
    group = commands.add_parser("sweep", help="search over loss schedules and other options of a training")
    sweeps = group.add_subparsers(title="sweep commands", required=True, metavar="COMMAND")

    run = sweeps.add_parser(
        "run",
        help="run trials of a sweep on this machine, without an account",
        description="Sample points of a sweep, train each with `lightning fit`, stop early those worse than others, "
        "and finish with a table and a picture. The same command resumes an interrupted search. Further options are "
        "those of `lightning fit`, such as --data.init_args.root DIR, and apply to every trial.",
    )
    run.add_argument("--jobs", type=int, default=1, help="parallel trials (default: 1)")
    run.add_argument("--seed", type=int, default=0, help="seed of the sampled points (default: 0)")
    show = sweeps.add_parser(
        "show", help="show table and picture of a search, also while it runs", description="Trains nothing."
    )
    commands_ = sweeps.add_parser(
        "commands", help="print the command lines that a sweep would run", description="Runs none of them."
    )
    commands_.add_argument("--seed", type=int, default=0, help="seed of the sampled points (default: 0)")
    at_wandb = sweeps.add_parser(
        "wandb",
        help="register a sweep with W&B and start an agent",
        description="Needs an account (`wandb login`). Other machines join with the command that it prints.",
    )
    for parser in (run, show, commands_, at_wandb):
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="sweep file, such as configs/sweeps/demo_ddflow.yaml"
        )
    counts = {
        run: "trials, including those of earlier calls (default: the file's run_cap, or all points of a grid)",
        commands_: "number of command lines (default: 5)",
        at_wandb: "trials of this agent (default: until the sweep ends)",
    }
    for parser, text in counts.items():
        parser.add_argument("--count", type=int, help=text)
    for parser in (run, show):
        parser.add_argument("--output", type=Path, help="folder of the search (default: sweeps/NAME)")
        parser.add_argument("--name", help="name of the study in the storage (default: the file's name)")
        parser.add_argument(
            "--storage", help="URL of a database for Optuna, which machines may share, such as "
            "postgresql+psycopg://USER@HOST/DATABASE, or a journal file (default: study.log in the folder)",
        )  # fmt: skip
    run.set_defaults(run=run_sweep, takes_config_keys=True)
    show.set_defaults(run=show_sweep)
    commands_.set_defaults(run=print_commands, takes_config_keys=True)
    at_wandb.set_defaults(run=start_at_wandb)


def run_sweep(options: argparse.Namespace) -> int:
    """Run trials; return exit code 1 if no trial completed."""
    sweep, study, folder = _opened(options, make=True)
    from flowdistill.tracking.sweep_report import ranked
    from flowdistill.tracking.sweep_run import Search
    from flowdistill.tracking.sweep_study import size_of_grid

    grid = size_of_grid(sweep)
    count = (
        options.count if options.count is not None else sweep.run_cap if sweep.run_cap is not None else grid
    )
    if count is None:
        raise UserError(
            "set --count to the number of trials; an endless search needs W&B (`flowdistill sweep wandb`)"
        )
    if count < 1 or options.jobs < 1:
        raise UserError("--count and --jobs must be 1 or more")
    sweep.words({})  # fails before the first trial if an environment variable is not set
    search = Search(sweep, study, folder, count if grid is None else min(count, grid), options.jobs,
                    list(options.config_keys), _say)  # fmt: skip
    try:
        search.run()
    finally:
        _report(sweep, study, folder)
    return 0 if any(trial.state.name == "COMPLETE" for trial in ranked(study, sweep)) else 1


def show_sweep(options: argparse.Namespace) -> int:
    """Print the table and draw the picture of the existing trials."""
    sweep, study, folder = _opened(options, make=False)
    _report(sweep, study, folder)
    return 0


def print_commands(options: argparse.Namespace) -> int:
    """Print command lines quoted for a shell, one per line."""
    import shlex

    from flowdistill.tracking.sweep_file import read_sweep

    _need_optuna()
    from flowdistill.tracking.sweep_study import draw

    sweep = read_sweep(options.file)
    for values in draw(sweep, 5 if options.count is None else options.count, options.seed):
        print(shlex.join([*sweep.words(values), *options.config_keys]))
    return 0


def start_at_wandb(options: argparse.Namespace) -> int:
    """Register the file unchanged and become an agent."""
    import os

    import yaml

    from flowdistill.data.shipped import find
    from flowdistill.tracking.sweep_file import read_sweep
    from flowdistill.tracking.wandb_run import has_key

    sweep = read_sweep(options.file)
    sweep.words({})
    if not has_key():
        raise UserError(
            "a sweep with W&B needs an account: no API key on this machine (`wandb login`, or WANDB_API_KEY). "
            f"Without one: flowdistill sweep run {options.file} --count N"
        )
    import wandb
    from wandb.errors import Error

    content = yaml.safe_load(find(options.file).read_text(encoding="utf-8"))
    content.setdefault("program", "lightning")
    project = content.get("project") or os.environ.get("WANDB_PROJECT", "flowdistill")
    entity = content.get("entity") or os.environ.get("WANDB_ENTITY")
    try:
        identity = wandb.sweep(content, project=project, entity=entity)
    except (Error, OSError, ValueError) as error:
        raise UserError(f"W&B rejected the sweep: {str(error).strip().splitlines()[0]}") from error
    # The agent's commands find `lightning` where this flowdistill is installed.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    words = ["wandb", "agent", "--project", project]
    words += ["--entity", entity] if entity else []
    words += ["--count", str(options.count)] if options.count else []
    words.append(identity)
    print(f"agent: {' '.join(words)}", flush=True)
    os.execvp(sys.executable, [sys.executable, "-m", *words])


def _opened(options: argparse.Namespace, make: bool) -> tuple[Sweep, Study, Path]:
    from flowdistill.tracking.sweep_file import read_sweep

    sweep = read_sweep(options.file)
    _need_optuna()
    from flowdistill.tracking.sweep_study import JOURNAL, open_study

    folder = options.output or Path("sweeps", options.file.stem)
    if not make and options.storage is None and not (folder / JOURNAL).is_file():
        raise UserError(
            f"no search of {options.file} in {folder}: start one with `flowdistill sweep run`, or set --output"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output: cannot write to {folder}: {error.strerror}") from error
    seed = getattr(options, "seed", 0)
    return sweep, open_study(sweep, options.name or options.file.stem, options.storage, folder, seed), folder


def _report(sweep: Sweep, study: Study, folder: Path) -> None:
    from flowdistill.tracking.sweep_report import table, write_report
    from flowdistill.tracking.sweep_study import trials_of

    if not trials_of(study):
        print("no trials yet")
        return
    print(table(study, sweep, width()))
    print(f"written: {', '.join(map(str, write_report(study, sweep, folder)))}", flush=True)


def _need_optuna() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise UserError(
            "a sweep without W&B needs Optuna, which is not installed: pip install 'flowdistill[sweep]'"
        )


def _say(line: str) -> None:
    print(line, flush=True)
