"""`flowdistill submit`: create and check submissions to KITTI's and Sintel's servers."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.cli.parsers import Commands, add_command, add_group, add_path
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from flowdistill.submission.check import SubmissionReport

# Copies from submission.kinds and inference.load, so that --help need not import them.
BENCHMARKS = ("kitti2015", "kitti2012", "sintel")
TASKS = ("stereo", "flow", "sceneflow")
DEVICES = ("auto", "cpu", "cuda")


def add_parser(commands: Commands) -> None:
    """Add the command group `submit`."""
    about = "create and check submissions to the benchmarks' servers"
    group = add_group(commands, "submit", about, "commands")
    check = add_command(group, "check", run_check, "report everything that the server would reject")
    add_path(check, "file", "FILE", "KITTI: the zip, or the folder before zipping; Sintel: the folder")
    inferred = "(default: inferred from the content)"
    check.add_argument("--kind", choices=BENCHMARKS, help=f"the benchmark {inferred}")
    check.add_argument("--task", choices=TASKS, help=f"the task {inferred}")
    folder = "folder of the test images to compare sizes with: testing/image_2, testing/colored_0, test/clean"
    known = "(default: the known sizes of the benchmark's images)"
    add_path(check, "--images", "DIR", f"{folder} {known}")

    kitti2015 = add_command(group, "kitti2015", run_benchmark, "predict KITTI 2015's test set into a zip")
    kitti2015.add_argument("--task", choices=TASKS, required=True, help="which benchmark of KITTI 2015")
    kitti2012 = add_command(group, "kitti2012", run_benchmark, "predict KITTI 2012's test set into a zip")
    kitti2012.add_argument("--task", choices=TASKS[:2], required=True, help="which benchmark of KITTI 2012")
    cameras = "read testing/colored_0 and colored_1, or image_0 and image_1 (default: colour)"
    kitti2012.add_argument("--cameras", choices=("colour", "grey"), default="colour", help=cameras)
    sintel = add_command(group, "sintel", run_sintel, "predict Sintel's test set into a folder")
    sintel.set_defaults(task="flow")
    for benchmark, parser, folder, output, what in (
        ("kitti2015", kitti2015, "testing/image_2", "OUT.zip", "zip file"),
        ("kitti2012", kitti2012, "testing/colored_0", "OUT.zip", "zip file"),
        ("sintel", sintel, "test/clean", "DIR", "folder"),
    ):
        add_path(parser, "--checkpoint", "CKPT", "checkpoint of `lightning fit`", required=True)
        add_path(parser, "--root", "DIR", f"folder that contains {folder}", required=True)
        add_path(parser, "--output", output, f"{what} to write; must not exist", required=True)
        device = "device to run on (default: auto)"
        parser.add_argument("--device", choices=DEVICES, default="auto", help=device)
        parser.set_defaults(benchmark=benchmark, runs_network=True)
    bundler = "the bundler program from Sintel's page; creates DIR.lzma, the file to upload"
    add_path(sintel, "--bundler", "PATH", bundler)


def run_check(options: argparse.Namespace) -> int:
    """Check a submission: the number and names of its files, formats, sizes, and whether the values are plausible.
    Exits with code 1 if there is a fault.
    """
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


def run_sintel(options: argparse.Namespace) -> int:
    """Predict both passes of the 12 test scenes, check the result, and run the benchmark's own bundler on it, or print
    its command.
    """
    from flowdistill.inference.bundler import bundle_command, check_bundler, run_bundler

    if options.bundler is not None:
        check_bundler(options.bundler, options.output)
    code = run_benchmark(options)
    if options.bundler is None:
        command = shlex.join(bundle_command("bundler", options.output))
        print(f"The server accepts the output of Sintel's bundler:\n  {command}")
    elif code == 0:
        print(f"upload {run_bundler(options.bundler, options.output)}")
    else:
        print("not bundled")
    return code


def run_benchmark(options: argparse.Namespace) -> int:
    """Predict the test scenes (200 of KITTI 2015, 195 of KITTI 2012), zip them in the server's layout, and check the
    result.
    """
    from flowdistill.inference.submit import check_output
    from flowdistill.submission.kinds import submission_kind

    kind = submission_kind(options.benchmark, options.task)
    check_output(options.output)
    if kind.zipped and options.output.suffix != ".zip":
        raise UserError(f"--output: {options.output} must be a zip file; name it {options.output}.zip")
    from flowdistill.inference.load import load_model
    from flowdistill.inference.submit import check_model, open_test_set, rule_notes, write_submission

    model = load_model(options.checkpoint, "--checkpoint", options.device)
    check_model(model, kind)
    for note in rule_notes(model, kind):
        print(f"note: {note}")
    images = {"colour": "colored", "grey": "image"}.get(getattr(options, "cameras", ""))
    samples = open_test_set(kind, options.root, model, {"images": images} if images else {})
    ordered = (samples[i] for i in range(len(samples)))
    return _print(options.output, write_submission(kind, model, ordered, options.output))


def _print(path: Path, report: SubmissionReport) -> int:
    from flowdistill.submission.report import report_text

    print(f"\n{report_text(str(path), report)}")
    return 1 if report.faults else 0
