"""`flowdistill submit`: create and check submissions to KITTI's and Sintel's servers."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.errors import UserError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

    from flowdistill.submission.check import SubmissionReport
    from flowdistill.submission.kinds import SubmissionKind

# Copies from submission.kinds and inference.load, so that --help need not import them.
BENCHMARKS = ("kitti2015", "kitti2012", "sintel")
TASKS = ("stereo", "flow", "sceneflow")
DEVICES = ("auto", "cpu", "cuda")


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command group `submit`."""
    group = subparsers.add_parser("submit", help="create and check submissions to the benchmarks' servers")
    commands = group.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_check(commands)
    _add_kitti2015(commands)
    _add_kitti2012(commands)
    _add_sintel(commands)


def _add_check(commands: "Subparsers") -> None:
    parser = commands.add_parser(
        "check",
        help="report everything that the server would reject",
        description="Check a submission: the number and names of its files, formats, sizes, and whether the values are "
        "plausible. Exits with code 1 if there is a fault.",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="KITTI: the zip, or the folder before zipping; Sintel: the folder",
    )
    parser.add_argument(
        "--kind", choices=BENCHMARKS, help="the benchmark (default: inferred from the content)"
    )
    parser.add_argument("--task", choices=TASKS, help="the task (default: inferred from the content)")
    parser.add_argument(
        "--images",
        metavar="DIR",
        type=Path,
        help="folder of the test images to compare sizes with: testing/image_2, testing/colored_0, test/clean "
        "(default: the known sizes of the benchmark's images)",
    )
    parser.set_defaults(run=run_check)


def _add_kitti2015(commands: "Subparsers") -> None:
    parser = commands.add_parser(
        "kitti2015",
        help="predict KITTI 2015's test set into a zip",
        description="Predict the 200 test scenes, zip them in the server's layout, and check the result.",
    )
    parser.add_argument("--task", choices=TASKS, required=True, help="which benchmark of KITTI 2015")
    _add_prediction_options(parser, "testing/image_2", "OUT.zip", "zip file to write")
    parser.set_defaults(run=run_kitti2015)


def _add_kitti2012(commands: "Subparsers") -> None:
    parser = commands.add_parser(
        "kitti2012",
        help="predict KITTI 2012's test set into a zip",
        description="Predict the 195 test scenes, zip them in the server's layout, and check the result.",
    )
    parser.add_argument("--task", choices=TASKS[:2], required=True, help="which benchmark of KITTI 2012")
    parser.add_argument(
        "--cameras",
        choices=("colour", "grey"),
        default="colour",
        help="read testing/colored_0 and colored_1, or image_0 and image_1 (default: colour)",
    )
    _add_prediction_options(parser, "testing/colored_0", "OUT.zip", "zip file to write")
    parser.set_defaults(run=run_kitti2012)


def _add_sintel(commands: "Subparsers") -> None:
    parser = commands.add_parser(
        "sintel",
        help="predict Sintel's test set into a folder",
        description="Predict both passes of the 12 test scenes, check the result, and run the benchmark's own bundler "
        "on it, or print its command.",
    )
    _add_prediction_options(parser, "test/clean", "DIR", "folder to write")
    parser.add_argument(
        "--bundler",
        metavar="PATH",
        type=Path,
        help="the bundler program from Sintel's page; creates DIR.lzma, the file to upload",
    )
    parser.set_defaults(run=run_sintel)


def _add_prediction_options(parser: argparse.ArgumentParser, images: str, output: str, what: str) -> None:
    parser.add_argument(
        "--checkpoint", metavar="CKPT", type=Path, required=True, help="checkpoint of `lightning fit`"
    )
    parser.add_argument(
        "--root", metavar="DIR", type=Path, required=True, help=f"folder that contains {images}"
    )
    parser.add_argument("--output", metavar=output, type=Path, required=True, help=f"{what}; must not exist")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="device to run on (default: auto)")


def run_check(options: argparse.Namespace) -> int:
    """Check, print the report and return the exit code."""
    from flowdistill.submission.check import SubmissionReport, check_submission, image_sizes
    from flowdistill.submission.guess import guess_benchmark, guess_task
    from flowdistill.submission.kinds import submission_kind
    from flowdistill.submission.members import Fault, open_members

    members = open_members(options.file)
    if isinstance(members, Fault):
        return _print(options.file, SubmissionReport("a submission", [members], [], 0, 0.0))
    if not members.names and options.kind is None:  # no content to infer the benchmark from
        empty = Fault(str(options.file), "contains no file", "pack the predictions again")
        return _print(options.file, SubmissionReport("a submission", [*members.faults, empty], [], 0, 0.0))
    benchmark = options.kind or guess_benchmark(members)
    kind = submission_kind(benchmark, options.task or guess_task(members, benchmark))
    if options.kind is None or options.task is None:
        print(f"checked as {kind.title} (--kind and --task override this)")
    sizes = None if options.images is None else image_sizes(options.images, kind)
    return _print(options.file, check_submission(members, kind, sizes))


def run_kitti2015(options: argparse.Namespace) -> int:
    """Predict, zip and check; return the exit code."""
    from flowdistill.submission.kinds import kitti2015

    return _predict(options, kitti2015(options.task), {})


def run_kitti2012(options: argparse.Namespace) -> int:
    """Predict, zip and check; return the exit code."""
    from flowdistill.submission.kinds import kitti2012

    images = {"colour": "colored", "grey": "image"}[options.cameras]
    return _predict(options, kitti2012(options.task), {"images": images})


def run_sintel(options: argparse.Namespace) -> int:
    """Predict, check and bundle; return the exit code."""
    from flowdistill.inference.bundler import bundle_command, check_bundler, run_bundler
    from flowdistill.submission.kinds import sintel

    if options.bundler is not None:
        check_bundler(options.bundler, options.output)
    code = _predict(options, sintel(), {})
    if options.bundler is None:
        command = shlex.join(bundle_command("bundler", options.output))
        print(f"The server accepts the output of Sintel's bundler:\n  {command}")
    elif code == 0:
        print(f"upload {run_bundler(options.bundler, options.output)}")
    else:
        print("not bundled")
    return code


def _predict(options: argparse.Namespace, kind: "SubmissionKind", dataset_options: dict[str, str]) -> int:
    from flowdistill.inference.submit import check_output

    check_output(options.output)
    if kind.zipped and options.output.suffix != ".zip":
        raise UserError(f"--output: {options.output} must be a zip file; name it {options.output}.zip")
    from flowdistill.inference.load import load_model
    from flowdistill.inference.submit import check_model, open_test_set, rule_notes, write_submission

    model = load_model(options.checkpoint, "--checkpoint", options.device)
    check_model(model, kind)
    for note in rule_notes(model, kind):
        print(f"note: {note}")
    samples = open_test_set(kind, options.root, model, dataset_options)
    return _print(
        options.output,
        write_submission(kind, model, (samples[i] for i in range(len(samples))), options.output),
    )


def _print(path: Path, report: "SubmissionReport") -> int:
    from flowdistill.submission.report import report_text

    print(f"\n{report_text(str(path), report)}")
    return 1 if report.faults else 0
