"""`flowdistill schedule plot`: plot a config's loss weights and learning rate over the run."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowdistill.cli.output import check_output, write_file
from flowdistill.cli.parsers import Commands, add_command, add_group, add_path


def add_parser(commands: Commands) -> None:
    """Add the command group `schedule`."""
    group = add_group(commands, "schedule", "inspect loss weights over a run")
    parser = add_command(group, "plot", run_plot, "plot every loss weight and the learning rate of a config")
    add_path(parser, "config", "CONFIG", "YAML files; later ones take precedence", nargs="+")
    add_path(parser, "--output", "PNG", "picture (default: NAME_schedule.png in the working directory)")


def run_plot(options: argparse.Namespace) -> int:
    """Check the schedules of one config, or of several as `lightning fit` composes them, print their knots and plot
    them over the run's steps.
    """
    from flowdistill.training.config_schedules import read_schedules
    from flowdistill.visual.schedules import Curve, plot_curves

    output = options.output or Path(f"{options.config[0].stem}_schedule.png")
    check_output(output, "--output")
    found = read_schedules(options.config)
    rate = found.learning_rate
    curves = [Curve(name, loss.at, [step for step, _ in loss.knots]) for name, loss in found.weights.items()]
    curves.append(Curve("learning_rate", rate.at, rate.changes_at))
    width = max(len(curve.name) for curve in curves)
    between = {name: weight.between for name, weight in found.weights.items()}
    between["learning_rate"] = rate.schedule.between
    for curve in curves:
        kind, values = "constant", f"{curve.at(0):g}"
        if len(curve.knots) > 1:
            kind = between[curve.name]
            values = "  ".join(f"{step}: {curve.at(step):g}" for step in curve.knots)
        print(f"{curve.name:<{width}}  {kind:<8}  {values}")
    print(f"{'steps':<{width}}  {found.steps}")
    title = f"{', '.join(map(str, options.config))}: {found.steps:,} steps"
    write_file(output, plot_curves(curves, found.steps, title))
    print(f"picture: {output}")
    return 0
