"""`flowdistill demo`: what `make demo` runs."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo", help="render, train DDFlow and DWARF, compare with baselines (minutes)"
    )
    parser.add_argument("--output", type=Path, help="folder for everything (default: runs/demo/seedN)")
    parser.add_argument("--seed", type=int, default=0, help="of the data, the weights and the sampling")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exit code 0 if the demo's goals were reached, else 1."""
    from flowdistill.recipes.demo import run_demo  # brings torch and Lightning with it

    output = options.output or Path("runs/demo") / f"seed{options.seed}"
    return 0 if run_demo(output, options.seed) else 1
