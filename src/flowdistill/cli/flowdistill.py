"""`flowdistill`: everything except training. Each sub-command has its own module."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from flowdistill import __version__
from flowdistill.cli import (
    confidence,
    configs,
    convert,
    data_check,
    data_sets,
    debug,
    demo,
    evaluate,
    export,
    import_weights,
    infer,
    labels,
    picture,
    profile,
    reproduce,
    runs,
    schedule,
    submit,
    sweep,
)  # fmt: skip
from flowdistill.cli.exit_codes import report_user_errors
from flowdistill.cli.parsers import add_group
from flowdistill.host_arithmetic import denormals_flushed
from flowdistill.host_memory import keep_freed_memory
from flowdistill.stopping import raised_on_sigterm


def main(arguments: list[str] | None = None) -> int:
    """Run the console script and return its exit code: 2, with a message, for user errors."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    keep_freed_memory()
    parser = argparse.ArgumentParser(prog="flowdistill", description="Data and tools for `lightning`.")
    parser.add_argument("--version", action="version", version=f"flowdistill {__version__}")
    groups = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    data_commands = add_group(groups, "data", "create and inspect data sets")
    data_check.add_parser(data_commands)
    data_sets.add_parser(data_commands)
    for command in (
        confidence, configs, convert, debug, demo, evaluate, export, import_weights, infer, labels, picture, profile,
        reproduce, runs, schedule, submit, sweep,
    ):  # fmt: skip
        command.add_parser(groups)
    options, config_keys = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    if config_keys and not getattr(options, "takes_config_keys", False):
        parser.error(f"unrecognized arguments: {' '.join(config_keys)}")
    options.config_keys = config_keys
    with raised_on_sigterm():
        return report_user_errors(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    # Set by commands that run a network: a trained one is faster on a CPU then.
    flushed = denormals_flushed() if getattr(options, "runs_network", False) else contextlib.nullcontext()
    with flushed:
        return int(options.run(options))


if __name__ == "__main__":
    raise SystemExit(main())
