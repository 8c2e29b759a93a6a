"""`flowdistill submit BENCHMARK`: a model and test images -> a submission in the server's own layout, checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from flowdistill.data.access import is_folder
from flowdistill.data.dataset import MotionDataset
from flowdistill.data.datasets import DATASETS
from flowdistill.data.sample import Sample
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import write_flo, write_kitti_disparity, write_kitti_flow
from flowdistill.inference.predict import predict_sample
from flowdistill.submission.archive import write_zip
from flowdistill.submission.check import SubmissionReport, check_path
from flowdistill.submission.kinds import Size, SubmissionFile, SubmissionKind
from flowdistill.training.base import MotionModule

# What the test part of each data set is called.
_PART = {"kitti2015": "testing", "kitti2012": "testing", "sintel": "test"}


def check_model(model: MotionModule, kind: SubmissionKind) -> None:
    """Raises UserError where a model cannot predict what a submission holds, or the benchmark lacks its images."""
    if model.view not in DATASETS[kind.benchmark].views:
        raise UserError(
            f"--checkpoint: {_title(model)} needs both cameras of a stereo pair, and {kind.title} shows the images of "
            "one; take a DDFlow checkpoint"
        )
    motions = {file.motion for file in kind.files.values()}
    if model.view == "flow" and motions != {"flow"}:
        raise UserError(
            f"--checkpoint: {_title(model)} predicts flow from the images of one camera; {kind.title} needs disparity, "
            "too: take a DWARF checkpoint, or --task flow"
        )


def rule_notes(model: MotionModule, kind: SubmissionKind) -> list[str]:
    """What the benchmark's rules say about such a model, for the user."""
    motions = {file.motion for file in kind.files.values()}
    if kind.benchmark == "kitti2012" and motions == {"flow"} and model.view == "scene_flow":
        return [f"{kind.title} forbids the use of stereo by its rules, and {_title(model)} uses both cameras"]
    return []


def open_test_set(
    kind: SubmissionKind, root: Path, model: MotionModule, options: Mapping[str, str] | None = None
) -> MotionDataset:
    """The benchmark's test samples in the view that the model takes, each once.

    Args:
        kind: which samples there must be.
        root: the data folder, which holds `testing` (KITTI) or `test` (Sintel).
        model: whose view to serve.
        options: further ones of the dataset.

    Raises:
        UserError: the root is another folder, or images are missing.
    """
    dataset = DATASETS[kind.benchmark]
    chosen = dataset.chosen_options({"part": _PART[kind.benchmark], **(options or {})})
    markers = dataset.markers(chosen)
    if not any(is_folder(root / marker) for marker in markers):
        grey = dataset.markers({**chosen, "images": "image"})[0]
        hint = f" (for {grey}, which is there, --cameras grey)" if is_folder(root / grey) else ""
        raise UserError(
            f"--root: {root} holds no folder {markers[0]}{hint}; name the folder that {kind.title}'s test images are in"
        )
    entries = [SplitEntry(name) for name in dict.fromkeys(file.sample for file in kind.files.values())]
    return dataset(str(root), entries, model.view, labels=False, options=chosen)


def check_output(path: Path) -> None:
    """Makes the folder that `path` will lie in. Raises UserError if `path` exists: nothing is ever replaced."""
    if path.exists() or path.is_symlink():
        raise UserError(f"--output: {path} exists and is not replaced; name another, or move it away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output: cannot make the folder {path.parent} ({error.strerror or error})"
        ) from error


def write_submission(
    kind: SubmissionKind, model: MotionModule, samples: Iterable[Sample], output: Path
) -> SubmissionReport:
    """Predicts every sample, writes the submission, and checks it against the images' own sizes.

    Work goes on in a hidden folder beside `output`, which takes its name when it is complete: an interrupted run
    leaves no half submission. (A run killed by force leaves the hidden folder `.flowdistill-*`.)

    Args:
        kind: what the server wants.
        model: in evaluation mode.
        samples: all of the kind's samples, each once, in any order.
        output: zip file or folder, as the kind says; see `check_output`.

    Returns:
        the report of the check; the submission is there even if it names faults.

    Raises:
        UserError: `output` exists by now or cannot be written, or a file of the images is damaged.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".flowdistill-", dir=output.parent) as temporary:
            folder = Path(temporary) / "submission"
            sizes = _predict(kind, model, samples, folder)
            if kind.zipped:
                write_zip(output, folder, kind.files)
            else:
                check_output(output)
                folder.rename(output)
    except OSError as error:
        raise UserError(f"--output: cannot write {output} ({error.strerror or error})") from error
    return check_path(output, kind, sizes)


def _predict(
    kind: SubmissionKind, model: MotionModule, samples: Iterable[Sample], folder: Path
) -> dict[str, Size]:
    """Writes every file of the submission; returns each test image's size."""
    wanted: dict[str, dict[str, SubmissionFile]] = {}
    for path, file in kind.files.items():
        wanted.setdefault(file.sample, {})[path] = file
    sizes: dict[str, Size] = {}
    for sample in tqdm(samples, total=len(wanted), unit="sample", desc="predict"):
        prediction = predict_sample(model, sample)
        for path, file in wanted.pop(sample["name"]).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, file, prediction[file.motion])
            sizes[file.image] = sample["left_t0"].shape[-2], sample["left_t0"].shape[-1]
    if wanted:
        raise ValueError(f"{len(wanted)} samples were not given, first {next(iter(wanted))}")
    return sizes


def _write(path: Path, file: SubmissionFile, motion: npt.NDArray[np.float32]) -> None:
    """Motion (H, W, C) px, in the file's format."""
    if file.content == "flo":
        write_flo(path, motion)
    elif file.content == "flow":
        write_kitti_flow(path, motion)
    else:
        write_kitti_disparity(path, motion)


def _title(model: MotionModule) -> str:
    return type(model).__name__.removesuffix("Module").replace("Dwarf", "DWARF")
