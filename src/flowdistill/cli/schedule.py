"""`flowdistill schedule plot`: plot a config's loss weights and learning rate over the run."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command group `schedule`."""
    group = commands.add_parser("schedule", help="inspect loss weights over a run")
    schedule_commands = group.add_subparsers(title="schedule commands", required=True, metavar="COMMAND")
    parser = schedule_commands.add_parser(
        "plot",
        help="plot every loss weight and the learning rate of a config",
        description="Check the schedules of one config, or of several as `lightning fit` composes them, print their "
        "knots and plot them over the run's steps.",
    )
    parser.add_argument(
        "config", nargs="+", type=Path, metavar="CONFIG", help="YAML files; later ones take precedence"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PNG",
        help="picture (default: NAME_schedule.png in the working directory)",
    )
    parser.set_defaults(run=run_plot)


def run_plot(options: argparse.Namespace) -> int:
    """Print the table, write the picture and return the exit code."""
    from flowdistill.cli.evaluate import check_output
    from flowdistill.formats import write_atomically
    from flowdistill.training.config_schedules import read_schedules
    from flowdistill.visual.schedules import Curve, plot_curves

    output = options.output or Path(f"{options.config[0].stem}_schedule.png")
    check_output(output, "--output")
    found = read_schedules(options.config)
    rate = found.learning_rate
    curves = [
        Curve(name, weight.at, [step for step, _ in weight.knots]) for name, weight in found.weights.items()
    ]
    curves.append(Curve("learning_rate", rate.at, rate.changes_at))
    width = max(len(curve.name) for curve in curves)
    between = {name: weight.between for name, weight in found.weights.items()}
    between["learning_rate"] = rate.schedule.between
    for curve in curves:
        kind = between[curve.name] if len(curve.knots) > 1 else "constant"
        values = "  ".join(f"{step}: {curve.at(step):g}" for step in curve.knots)
        print(f"{curve.name:<{width}}  {kind:<8}  {values if len(curve.knots) > 1 else f'{curve.at(0):g}'}")
    print(f"{'steps':<{width}}  {found.steps}")
    title = f"{', '.join(map(str, options.config))}: {found.steps:,} steps"
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, plot_curves(curves, found.steps, title))
    print(f"picture: {output}")
    return 0
