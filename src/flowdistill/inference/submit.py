"""`flowdistill submit BENCHMARK`: a model and test images -> a checked submission in the server's layout."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
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

# Name of the test part of each data set.
_PART = {"kitti2015": "testing", "kitti2012": "testing", "sintel": "test"}
# Format of a file -> function that writes a motion (H, W, C) px.
_WRITERS: dict[str, Callable[[Path, npt.NDArray[np.float32]], None]] = {
    "flo": write_flo,
    "flow": write_kitti_flow,
    "disparity": write_kitti_disparity,
}


def check_model(model: MotionModule, kind: SubmissionKind) -> None:
    """Raise UserError if the model cannot predict what a submission needs, or the benchmark lacks its input images."""
    if model.view not in DATASETS[kind.benchmark].views:
        raise UserError(
            f"--checkpoint: {_title(model)} needs both cameras of a stereo pair, but {kind.title} has the images of "
            "only one; use a DDFlow checkpoint"
        )
    if model.view == "flow" and kind.motions != {"flow"}:
        raise UserError(
            f"--checkpoint: {_title(model)} predicts flow from the images of one camera; {kind.title} needs disparity, "
            "too: use a DWARF checkpoint, or --task flow"
        )


def rule_notes(model: MotionModule, kind: SubmissionKind) -> list[str]:
    """Return notes for the user on the benchmark's rules that concern this model."""
    if kind.benchmark == "kitti2012" and kind.motions == {"flow"} and model.view == "scene_flow":
        return [f"the rules of {kind.title} forbid the use of stereo, but {_title(model)} uses both cameras"]
    return []


def open_test_set(
    kind: SubmissionKind, root: Path, model: MotionModule, options: Mapping[str, str] | None = None
) -> MotionDataset:
    """Open the benchmark's test samples in the model's view, each once.

    Args:
        kind: determines the samples.
        root: the data folder, which contains `testing` (KITTI) or `test` (Sintel).
        model: determines the view.
        options: additional options of the dataset.

    Raises:
        UserError: the root is another folder, or images are missing.
    """
    dataset = DATASETS[kind.benchmark]
    chosen = dataset.chosen_options({"part": _PART[kind.benchmark], **(options or {})})
    markers = dataset.markers(chosen)
    if not any(is_folder(root / marker) for marker in markers):
        grey = dataset.markers({**chosen, "images": "image"})[0]
        hint = f" (for {grey}, which exists, use --cameras grey)" if is_folder(root / grey) else ""
        raise UserError(
            f"--root: {root} has no folder {markers[0]}{hint}; give the folder that contains {kind.title}'s test images"
        )
    entries = [SplitEntry(name) for name in dict.fromkeys(file.sample for file in kind.files.values())]
    return dataset(str(root), entries, model.view, labels=False, options=chosen)


def check_output(path: Path) -> None:
    """Make the parent folder of `path`. Raises UserError if `path` exists: nothing is ever overwritten."""
    if path.exists() or path.is_symlink():
        raise UserError(f"--output: {path} exists and is not replaced; give another, or move it away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output: cannot make the folder {path.parent} ({error.strerror or error})"
        ) from error


def write_submission(
    kind: SubmissionKind, model: MotionModule, samples: Iterable[Sample], output: Path
) -> SubmissionReport:
    """Predict every sample, write the submission, and check it against the sizes of the images.

    Files are written to a hidden folder beside `output`, which is renamed when complete: an interrupted run leaves no
    partial submission. (A run that is killed leaves the hidden folder `.flowdistill-*`.)

    Args:
        kind: the required files.
        model: in evaluation mode.
        samples: all of the kind's samples, each once, in any order.
        output: zip file or folder, depending on the kind; see `check_output`.

    Returns:
        the report of the check; the submission is written even if the report lists faults.

    Raises:
        UserError: `output` exists by now or cannot be written, or an image file is damaged.
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
    """Write all files of the submission; returns each test image's size."""
    wanted: dict[str, dict[str, SubmissionFile]] = {}
    for path, file in kind.files.items():
        wanted.setdefault(file.sample, {})[path] = file
    sizes: dict[str, Size] = {}
    for sample in tqdm(samples, total=len(wanted), unit="sample", desc="predict"):
        prediction = predict_sample(model, sample)
        for path, file in wanted.pop(sample["name"]).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _WRITERS[file.content](target, prediction[file.motion])
            sizes[file.image] = sample["left_t0"].shape[-2], sample["left_t0"].shape[-1]
    if wanted:
        raise ValueError(f"{len(wanted)} samples were not given, the first is {next(iter(wanted))}")
    return sizes


def _title(model: MotionModule) -> str:
    return type(model).__name__.removesuffix("Module").replace("Dwarf", "DWARF")
