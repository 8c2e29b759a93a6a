"""`flowdistill sweep`: search over loss schedules, locally or with W&B, from one YAML file."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.cli.output import width
from flowdistill.cli.parsers import Commands, add_command, add_group, add_number, add_path
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from optuna import Study

    from flowdistill.tracking.sweep_file import Sweep


def add_parser(commands: Commands) -> None:
    """Add the command group `sweep`."""
    group = add_group(commands, "sweep", "search over loss schedules and other options of a training")
    about = "run trials of a sweep on this machine, without an account"
    run = add_command(group, "run", run_sweep, about, takes_config_keys=True)
    add_number(run, "--jobs", 1, "parallel trials", None)
    show = add_command(group, "show", show_sweep, "show table and picture of a search, also while it runs")
    about = "print the command lines that a sweep would run"
    printed = add_command(group, "commands", print_commands, about, takes_config_keys=True)
    at_wandb = add_command(group, "wandb", start_at_wandb, "register a sweep with W&B and start an agent")
    for parser in (run, show, printed, at_wandb):
        add_path(parser, "file", "FILE", "sweep file, such as configs/sweeps/demo_ddflow.yaml")
    for parser in (run, printed):
        add_number(parser, "--seed", 0, "seed of the sampled points", None)
    trials = "trials, including those of earlier calls (default: the file's run_cap, or all points of a grid)"
    run.add_argument("--count", type=int, help=trials)
    printed.add_argument("--count", type=int, default=5, help="number of command lines (default: 5)")
    at_wandb.add_argument("--count", type=int, help="trials of this agent (default: until the sweep ends)")
    for parser in (run, show):
        add_path(parser, "--output", None, "folder of the search (default: sweeps/NAME)")
        parser.add_argument("--name", help="name of the study in the storage (default: the file's name)")
        shared = "which machines may share, such as postgresql+psycopg://USER@HOST/DATABASE"
        storage = (
            f"URL of a database for Optuna, {shared}, or a journal file (default: study.log in the folder)"
        )
        parser.add_argument("--storage", help=storage)


def run_sweep(options: argparse.Namespace) -> int:
    """Sample points of a sweep, train each with `lightning fit`, stop early those worse than others, and finish with a
    table and a picture. The same command resumes an interrupted search. Further options are those of `lightning fit`,
    such as --data.init_args.root DIR, and apply to every trial. Exit code 1: no trial completed.
    """
    sweep, study, folder = _opened(options, make=True)
    from flowdistill.tracking.sweep_report import ranked
    from flowdistill.tracking.sweep_run import Search
    from flowdistill.tracking.sweep_study import size_of_grid

    grid = size_of_grid(sweep)
    limits = (options.count, sweep.run_cap, grid)
    count = next((limit for limit in limits if limit is not None), None)
    if count is None:
        raise UserError(
            "set --count to the number of trials; an endless search needs W&B (`flowdistill sweep wandb`)"
        )
    if count < 1 or options.jobs < 1:
        raise UserError("--count and --jobs must be 1 or more")
    sweep.words({})  # fails before the first trial if an environment variable is not set
    trials = count if grid is None else min(count, grid)
    keys, say = list(options.config_keys), partial(print, flush=True)
    search = Search(sweep, study, folder, trials, options.jobs, keys, say)
    try:
        search.run()
    finally:
        _report(sweep, study, folder)
    return 0 if any(trial.state.name == "COMPLETE" for trial in ranked(study, sweep)) else 1


def show_sweep(options: argparse.Namespace) -> int:
    """Print the table and draw the picture of the existing trials. Trains nothing."""
    sweep, study, folder = _opened(options, make=False)
    _report(sweep, study, folder)
    return 0


def print_commands(options: argparse.Namespace) -> int:
    """Print the command lines of a sweep, quoted for a shell, one per line. Runs none of them."""
    from flowdistill.tracking.sweep_file import read_sweep

    _need_optuna()
    from flowdistill.tracking.sweep_study import draw

    sweep = read_sweep(options.file)
    for values in draw(sweep, options.count, options.seed):
        print(shlex.join([*sweep.words(values), *options.config_keys]))
    return 0


def start_at_wandb(options: argparse.Namespace) -> int:
    """Register the file unchanged and become an agent. Needs an account (`wandb login`). Other machines join with the
    command that it prints.
    """
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
    given = {"--project": project, "--entity": entity, "--count": options.count}
    flags = [word for name, value in given.items() if value for word in (name, str(value))]
    words = ["wandb", "agent", *flags, identity]
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
