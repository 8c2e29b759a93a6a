"""Find the files of a Sintel evaluation: the ground truth determines the required predictions.

GROUND_TRUTH/flow/SCENE/frame_NNNN.flo   occlusions/SCENE/frame_NNNN.png   invalid/SCENE/frame_NNNN.png
PREDICTIONS/clean/SCENE/frame_NNNN.flo   final/SCENE/frame_NNNN.flo   (frameNNNN.flo is also accepted)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowdistill.data.access import is_file, is_folder
from flowdistill.data.tree import check_files, few, listing, report_missing
from flowdistill.errors import UserError

PASSES = ("clean", "final")
FLOW, OCCLUSIONS, INVALID = "flow", "occlusions", "invalid"
_MASK_NOTES = {
    OCCLUSIONS: "matched, unmatched and the distances to occlusion boundaries are left out",
    INVALID: "every pixel counts",
}
_SHOWN = 8


@dataclass(frozen=True)
class SintelFiles:
    """Folders of one evaluation and the names of its frames; small, because it is sent to worker processes."""

    ground_truth: Path
    predictions: dict[str, Path]  # pass -> folder
    masks: tuple[str, ...]  # those of `occlusions`, `invalid` that exist
    frames: list[str]  # SCENE/frame_NNNN, sorted
    notes: list[str]  # what is left out and why, for the user


def find_files(predictions: Path, ground_truth: Path, scenes: Sequence[str] | None = None) -> SintelFiles:
    """Find the existing folders and check that each contains a file for every frame of the ground truth.

    Args:
        predictions: folder with `clean` and `final`, or one of them.
        ground_truth: Sintel's `training`.
        scenes: the scenes to evaluate; None for all of the ground truth.

    Raises:
        UserError: one of the folders does not exist, there is nothing to evaluate, a scene is unknown, or a file is
            missing.
    """
    for option, folder in (("--predictions", predictions), ("--ground-truth", ground_truth)):
        if not is_folder(folder):
            wanted = "clean and final" if option == "--predictions" else "flow, occlusions and invalid"
            raise UserError(
                f"{option}: there is no folder {folder}; set it to the folder that contains {wanted}"
            )
    names = _truth_names(ground_truth, scenes)
    found = {name: predictions / name for name in PASSES if is_folder(predictions / name)}
    if not found:
        raise UserError(
            f"--predictions: {predictions} contains neither clean nor final; flow belongs in "
            "clean/SCENE/frame_0001.flo and final/SCENE/frame_0001.flo"
        )
    notes = [
        f"{name}: no folder {predictions / name}; it is left out" for name in PASSES if name not in found
    ]
    masks = tuple(mask for mask in _MASK_NOTES if is_folder(ground_truth / mask))
    notes += [
        f"no folder {ground_truth / mask}: {note}" for mask, note in _MASK_NOTES.items() if mask not in masks
    ]
    check_files(
        ground_truth,
        {
            f"{mask}/{scene}": [f"{frame}.png" for frame in frames]
            for mask in masks
            for scene, frames in names.items()
        },
        "ground truth files",
        "Every flow of the ground truth needs its masks; only a folder that is absent as a whole is skipped.",
    )
    _check_predictions(predictions, list(found), names, ground_truth)
    return SintelFiles(
        ground_truth,
        found,
        masks,
        [f"{scene}/{frame}" for scene, frames in names.items() for frame in frames],
        notes,
    )


def prediction_names(frame: str) -> tuple[str, str]:
    """Return the accepted names of frame_NNNN's prediction: Sintel's, and that of the README of Sintel's bundler."""
    return f"{frame}.flo", f"{frame.replace('frame_', 'frame')}.flo"


def prediction_path(folder: Path, frame: str) -> Path:
    """Return the file of a frame SCENE/frame_NNNN in the folder of a pass, under whichever of its two names exists."""
    scene, _, name = frame.partition("/")
    sintels, readmes = (folder / scene / file for file in prediction_names(name))
    return readmes if not is_file(sintels) and is_file(readmes) else sintels


def _check_predictions(
    predictions: Path, passes: Sequence[str], names: dict[str, list[str]], ground_truth: Path
) -> None:
    """Check that each frame has its prediction in each pass, under one name."""
    missing: list[str] = []
    others: list[str] = []
    for folder in [f"{pass_}/{scene}" for pass_ in passes for scene in names]:
        there = listing(predictions / folder)
        wanted = [prediction_names(frame) for frame in names[folder.partition("/")[2]]]
        for sintels, readmes in wanted:
            if sintels != readmes and {sintels, readmes} <= there:
                raise UserError(
                    f"{predictions / folder} contains two predictions of a frame, {sintels} and {readmes}; remove one "
                    "of them"
                )
        absent = [str(predictions / folder / pair[0]) for pair in wanted if not there & set(pair)]
        missing += absent
        if absent:
            spare = there.difference(*wanted)
            others += [
                f"{folder}/{name}" for name in sorted(spare) if name.endswith(".flo") and name[0] != "."
            ]
    called = f" Found {few(others)}: rename them to frame_0001.flo or frame0001.flo." if others else ""
    report_missing(
        missing,
        len(passes) * sum(map(len, names.values())),
        "predictions",
        f"Every flow of {ground_truth / FLOW} needs its prediction.{called} To evaluate some scenes only, use "
        "--scenes ambush_2 ambush_6",
    )


def _truth_names(ground_truth: Path, wanted: Sequence[str] | None) -> dict[str, list[str]]:
    """Return scene -> names of its frames with flow, without suffix."""
    folder = ground_truth / FLOW
    if not is_folder(folder):
        inner = ground_truth / "training"
        hint = f" Did you mean {inner}?" if is_folder(inner) else ""
        raise UserError(
            f"--ground-truth: {ground_truth} contains no folder flow (as Sintel's training does).{hint}"
        )
    names: dict[str, list[str]] = {}
    for scene in sorted(listing(folder)):
        files = [
            name for name in listing(folder / scene) if name.endswith(".flo") and not name.startswith(".")
        ]
        if files:
            names[scene] = sorted(name.removesuffix(".flo") for name in files)
    if not names:
        raise UserError(f"--ground-truth: {folder} contains no SCENE/frame_NNNN.flo")
    if wanted is None:
        return names
    unknown = [scene for scene in wanted if scene not in names]
    if unknown:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise UserError(
            f"--scenes: {folder} has no scene {', '.join(unknown)}; it has {', '.join(list(names)[:_SHOWN])}{more}"
        )
    return {scene: frames for scene, frames in names.items() if scene in wanted}
