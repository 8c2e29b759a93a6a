"""`flowdistill demo`, `demo-distill`, `demo-long` and `ablation`, which the `make` targets of these names run."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowdistill.cli.parsers import Commands, add_command, add_path
from flowdistill.errors import UserError


def add_parser(commands: Commands) -> None:
    """Add the four commands."""
    about = "render, train DDFlow and DWARF, compare with baselines (minutes)"
    demo = add_command(commands, "demo", run, about)
    about = "train DDFlow's teacher, student and a control on rendered data (half an hour per seed)"
    distill = add_command(commands, "demo-distill", run_distill, about)
    about = "pre-train DWARF at its published size on rendered data (45 minutes)"
    long = add_command(commands, "demo-long", run_long, about)
    about = "adapt DWARF to a second domain with few true labels, many proxy labels, or both (1-2 hours)"
    ablation = add_command(commands, "ablation", run_ablation, about)
    default = "checkpoint of the pre-trained DWARF (default: that of `make demo-long`)"
    add_path(ablation, "--checkpoint", None, default)
    for parser, name in ((demo, "demo"), (long, "demo-long")):
        add_path(parser, "--output", None, f"output folder (default: runs/{name}/seedN)")
        seed = "seed of the data, the weights and the sampling"
        parser.add_argument("--seed", type=int, default=0, help=seed)
    for parser, name, seeded in (
        (distill, "demo-distill", "the data, the weights and the sampling"),
        (ablation, "ablation", "the data and the sampling"),
    ):
        add_path(parser, "--output", None, "output folder (default: %(default)s)", default=Path("runs", name))
        seeds = f"seeds of {seeded} (default: 0 1 2)"
        parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help=seeds)
    jobs = "parallel runs (default: 2, or 1 on one core)"
    ablation.add_argument("--jobs", metavar="N", type=int, help=jobs)
    zoom = "instead compare Gt on thinned labels with ours and with the released code's zoom of sparse labels"
    ablation.add_argument("--released-zoom", action="store_true", help=zoom)


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


def run_ablation(options: argparse.Namespace) -> int:
    """From a pre-trained DWARF: render a second domain, make proxy labels, adapt with true labels for 5 % of the
    samples (Gt), with proxy labels for all (Px), with both (Gt+Px), and compare on held-out scenes. Nine runs of 5-7
    minutes; the same command resumes an interrupted ablation.
    """
    if options.jobs is not None and options.jobs < 1:
        raise UserError(f"--jobs is {options.jobs}; give 1 or more")
    from flowdistill.recipes.ablation import run_ablation as run_all
    from flowdistill.recipes.demo_long import trained_checkpoint
    from flowdistill.recipes.side_by_side import cores

    checkpoint, seeds = options.checkpoint or trained_checkpoint(), list(dict.fromkeys(options.seeds))
    jobs = options.jobs or min(2, cores())
    if options.released_zoom:
        from flowdistill.recipes.ablation_zoom import run_zoom_comparison

        run_zoom_comparison(options.output, checkpoint, seeds, jobs)
        return 0
    run_all(options.output, checkpoint, seeds, jobs)
    return 0
