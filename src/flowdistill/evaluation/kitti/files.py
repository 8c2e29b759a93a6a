"""Find the files of a KITTI evaluation: the ground truth, or a split of it, determines the required predictions.

2015: GROUND_TRUTH/disp_noc_0 disp_occ_0 disp_noc_1 disp_occ_1 flow_noc flow_occ obj_map
2012: GROUND_TRUTH/disp_noc disp_occ flow_noc flow_occ
PREDICTIONS/disp_0 disp_1 flow (2012: also `disp`), each with a .png, .flo or .pfm for every PNG of the ground truth
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from flowdistill.data.access import is_folder
from flowdistill.data.splits import SplitEntry, read_split
from flowdistill.data.tree import check_files, listing, report_missing
from flowdistill.errors import UserError

PREDICTION_SUFFIXES = (".png", ".flo", ".pfm")
MOTIONS = ("disp_0", "disp_1", "flow")
OCCLUSIONS = ("noc", "occ")
SCENE_FLOW = "scene_flow"
OBJECT_MAP = "obj_map"

# Motion -> folder of its ground truth; * stands for noc or occ.
_FLOW = {"flow": "flow_*"}
_TRUTH_2015 = {"disp_0": "disp_*_0", "disp_1": "disp_*_1", **_FLOW}
_TRUTH_2012 = {"disp_0": "disp_*", **_FLOW}
_NOTE_2012 = f"KITTI 2012 has no second disparity: disp_1 and {SCENE_FLOW} are left out"


@dataclass(frozen=True)
class KittiFiles:
    """Folders of one evaluation and the names of its images; small, because it is sent to worker processes."""

    predictions: dict[str, dict[str, Path]]  # motion -> image -> file
    truths: dict[str, dict[str, Path]]  # motion -> noc, occ -> folder
    object_maps: Path | None  # folder; without it every pixel is background
    images: list[str]  # names without .png, sorted
    notes: list[str]  # what is left out and why, for the user

    @property
    def scene_flow(self) -> list[str]:
        """Those of noc and occ for which scene flow can be evaluated."""
        return [o for o in OCCLUSIONS if all(o in self.truths.get(motion, {}) for motion in MOTIONS)]


def find_files(predictions: Path, ground_truth: Path, split: Path | None = None) -> KittiFiles:
    """Find the existing folders and check that each contains a file for every image.

    Args:
        predictions: folder with disp_0, disp_1, flow.
        ground_truth: folder with the ground truth of one year.
        split: file with the ids of the images; by default every image of the ground truth.

    Raises:
        UserError: a folder does not exist, nothing can be evaluated, a file is missing, or the split has a line that
            cannot be scored (the message gives file and line).
    """
    for option, folder in (("--predictions", predictions), ("--ground-truth", ground_truth)):
        if not is_folder(folder):
            raise UserError(
                f"{option}: there is no folder {folder}; set it to the folder that contains disp_0, flow, ..."
            )
    layout, truths = _find_truths(ground_truth)
    notes = [_NOTE_2012] if layout is _TRUTH_2012 else []
    found: dict[str, Path] = {}
    for motion in layout:
        names = ["disp_0", "disp"] if motion == "disp_0" and layout is _TRUTH_2012 else [motion]
        folders = [predictions / name for name in names if is_folder(predictions / name)]
        if motion not in truths:
            wanted = " or ".join(_folder(layout, motion, o) for o in OCCLUSIONS)
            notes.append(f"{motion}: no folder {wanted} in {ground_truth}; {_left_out(motion)}")
        elif not folders:
            notes.append(f"{motion}: no folder {predictions / motion}; {_left_out(motion)}")
        elif len(folders) > 1:
            raise UserError(f"{folders[0]} and {folders[1]} both contain disparities; remove one of them")
        else:
            found[motion] = folders[0]
            notes += [
                f"{motion}_{o}: no folder {ground_truth / _folder(layout, motion, o)}; {_left_out(motion, o)}"
                for o in OCCLUSIONS
                if o not in truths[motion]
            ]
    if not found:
        raise UserError("nothing to evaluate:\n" + "\n".join(f"  {note}" for note in notes))
    truths = {motion: truths[motion] for motion in found}
    objects: Path | None = ground_truth / OBJECT_MAP
    if not is_folder(ground_truth / OBJECT_MAP):
        notes.append(f"no folder {objects}: every pixel counts as background")
        objects = None
    folders = [folder for motion in truths.values() for folder in motion.values()]
    images = _images(folders, ground_truth, split)
    places = folders if objects is None else [*folders, objects]
    check_files(
        ground_truth,
        {place.name: [f"{image}.png" for image in images] for place in places},
        "ground truth files",
        "Every folder of the ground truth must contain the same images.",
    )
    files = _find_predictions(found, images, split or ground_truth)
    return KittiFiles(files, truths, objects, images, notes)


def _find_truths(ground_truth: Path) -> tuple[dict[str, str], dict[str, dict[str, Path]]]:
    """Return the folder layout of the year, and its existing folders: motion -> noc, occ -> folder."""
    for layout in (_TRUTH_2015, _TRUTH_2012):
        truths: dict[str, dict[str, Path]] = {}
        for motion in layout:
            folders = {o: ground_truth / _folder(layout, motion, o) for o in OCCLUSIONS}
            folders = {o: folder for o, folder in folders.items() if is_folder(folder)}
            if folders:
                truths[motion] = folders
        # Flow has the same folders in both years.
        if truths.keys() - _FLOW:
            return layout, truths
    if truths:
        return _TRUTH_2015, truths
    inner = ground_truth / "training"
    hint = f" Did you mean {inner}?" if is_folder(inner) else ""
    raise UserError(
        f"--ground-truth: {ground_truth} has none of disp_noc_0, disp_occ_0, disp_noc_1, disp_occ_1, flow_noc, "
        f"flow_occ (KITTI 2015), disp_noc, disp_occ (2012).{hint}"
    )


def _images(folders: list[Path], ground_truth: Path, split: Path | None) -> list[str]:
    """Return the sorted names of the images to evaluate: those of any ground-truth folder, or those of the split."""
    names = {
        name.removesuffix(".png")
        for folder in folders
        for name in listing(folder)
        if name.endswith(".png") and not name.startswith(".")  # macOS leaves ._NAME.png in its archives
    }
    if not names:
        places = ", ".join(str(folder) for folder in folders)
        raise UserError(f"--ground-truth: no PNG file in {places}")
    return sorted(names) if split is None else _read_images(split, names, ground_truth)


def _read_images(split: Path, known: Set[str], ground_truth: Path) -> list[str]:
    """Return the sorted ids of a split file.

    Args:
        split: the file.
        known: names of the images with ground truth.
        ground_truth: their folder, for the message.

    Raises:
        UserError: the file is not a valid split, or a line (given in the message) cannot be scored: its id has no
            ground truth, or it requests the right camera or proxy labels.
    """

    def check(entry: SplitEntry) -> None:
        if entry.camera != "left":
            raise UserError(
                "KITTI's ground truth is that of the left camera: predictions for the right one cannot be scored. "
                "Remove the line."
            )
        if entry.labels is not None:
            raise UserError(
                f"labels={entry.labels} selects proxy labels, but predictions are only scored against the ground truth "
                f"in {ground_truth}. Remove `labels={entry.labels}`, or use a split of frames with ground truth, such "
                "as data_splits/kitti_40.txt."
            )
        if entry.id not in known:
            raise UserError(
                f"{entry.id} has no ground truth: no folder of {ground_truth} contains {entry.id}.png. Remove the "
                "line, or set --ground-truth to the data set that the split was made for."
            )

    return sorted(entry.id for entry in read_split(split, check))


def _find_predictions(
    folders: dict[str, Path], images: list[str], wanted_by: Path
) -> dict[str, dict[str, Path]]:
    """Return the file of every image by motion. Raises UserError for one that is missing or exists in two formats."""
    found: dict[str, dict[str, Path]] = {}
    missing = []
    for motion, folder in folders.items():
        forms: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder / name for name in listing(folder)):
            if path.suffix.lower() in PREDICTION_SUFFIXES:
                forms[path.stem].append(path)
        for image in images:
            if len(forms[image]) > 1:
                names = " and ".join(map(str, forms[image]))
                raise UserError(f"{names} are predictions of one image; keep only the one to evaluate")
            if not forms[image]:
                missing.append(str(folder / f"{image}.png"))
        found[motion] = {image: forms[image][0] for image in images if forms[image]}
    report_missing(
        missing,
        len(folders) * len(images),
        "predictions",
        f"Every image of {wanted_by} needs its prediction (.png, .flo or .pfm); only a folder that is absent as a "
        "whole is skipped.",
    )
    return found


def _folder(layout: dict[str, str], motion: str, occlusion: str) -> str:
    return layout[motion].replace("*", occlusion)


def _left_out(motion: str, occlusion: str = "") -> str:
    suffix = f"_{occlusion}" if occlusion else ""
    return f"{motion}{suffix} and {SCENE_FLOW}{suffix} are left out"
