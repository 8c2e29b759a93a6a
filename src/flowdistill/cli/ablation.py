"""`flowdistill ablation`, which `make ablation` runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowdistill.errors import UserError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "ablation",
        help="adapt DWARF to a second domain with few true labels, many proxy labels, or both (1-2 hours)",
        description="From a pre-trained DWARF: render a second domain, make proxy labels, adapt with true labels for "
        "5 % of the samples (Gt), with proxy labels for all (Px), with both (Gt+Px), and compare on held-out scenes. "
        "Nine runs of 5-7 minutes; the same command resumes an interrupted ablation.",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="checkpoint of the pre-trained DWARF (default: that of `make demo-long`)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/ablation"),
        help="output folder (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        help="seeds of the data and the sampling (default: 0 1 2)",
    )
    parser.add_argument("--jobs", metavar="N", type=int, help="parallel runs (default: 2, or 1 on one core)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the ablation; return exit code 0 once all rows are complete, whatever the result."""
    if options.jobs is not None and options.jobs < 1:
        raise UserError(f"--jobs is {options.jobs}; give 1 or more")
    from flowdistill.recipes.ablation import run_ablation
    from flowdistill.recipes.demo_long import trained_checkpoint
    from flowdistill.recipes.side_by_side import cores

    run_ablation(
        options.output,
        options.checkpoint or trained_checkpoint(),
        list(dict.fromkeys(options.seeds)),
        options.jobs or min(2, cores()),
    )
    return 0
