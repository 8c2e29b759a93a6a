"""`flowdistill demo`, `demo-distill` and `demo-long`, which the `make` targets of these names run."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo", help="render, train DDFlow and DWARF, compare with baselines (minutes)"
    )
    parser.add_argument("--output", type=Path, help="output folder (default: runs/demo/seedN)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data, the weights and the sampling")
    parser.set_defaults(run=run)
    parser = commands.add_parser(
        "demo-distill",
        help="train DDFlow's teacher, student and a control on rendered data (half an hour per seed)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/demo-distill"),
        help="output folder (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        help="seeds of the data, the weights and the sampling (default: 0 1 2)",
    )
    parser.set_defaults(run=run_distill)
    parser = commands.add_parser(
        "demo-long", help="pre-train DWARF at its published size on rendered data (45 minutes)"
    )
    parser.add_argument("--output", type=Path, help="output folder (default: runs/demo-long/seedN)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data, the weights and the sampling")
    parser.set_defaults(run=run_long)


def run(options: argparse.Namespace) -> int:
    """Run the demo; return exit code 0 if its goals were reached, else 1."""
    from flowdistill.recipes.demo import run_demo  # imports torch and Lightning

    output = options.output or Path("runs/demo") / f"seed{options.seed}"
    return 0 if run_demo(output, options.seed) else 1


def run_distill(options: argparse.Namespace) -> int:
    """Run the demo; return exit code 0 if the student beats teacher and control on occluded pixels, else 1."""
    from flowdistill.recipes.demo_distill import run_demo_distill

    return 0 if run_demo_distill(options.output, options.seeds) else 1


def run_long(options: argparse.Namespace) -> int:
    """Run the demo; return exit code 0 if flow and both disparities are clearly better than the baselines, else 1."""
    from flowdistill.recipes.demo_long import OUTPUT, run_demo_long

    return 0 if run_demo_long(options.output or OUTPUT / f"seed{options.seed}", options.seed) else 1
