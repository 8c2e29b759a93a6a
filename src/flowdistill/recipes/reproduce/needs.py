"""Check that the data exist: a report of what is missing and where it belongs, before anything starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from flowdistill.check.downloads import DOWNLOADS, archive_of
from flowdistill.errors import UserError
from flowdistill.recipes.reproduce.requirements import required
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import (
    ORDER,
    SUBMITTED,
    TEACHER_LABELS,
    TRAININGS,
    DataName,
    Name,
)

_TRUTH = [
    f"training/{folder}/{sequence}_10.png"
    for folder in ("flow_occ", "flow_noc", "disp_occ_0", "disp_noc_0", "disp_occ_1", "disp_noc_1")
    for sequence in ("000000", "000199")
]
_PAIRS = [f"training/image_{n}/{id_}.png" for n in (2, 3) for id_ in ("000000_10", "000000_11", "000199_11")]
_VIDEO = [f"training/image_{n}/{id_}.png" for n in (2, 3) for id_ in ("000000_00", "000000_20", "000199_20")]
_TEST = [f"testing/image_{n}/{id_}.png" for n in (2, 3) for id_ in ("000000_10", "000199_11")]
_SUBSET = [
    "train/image_clean/left", "train/image_clean/right", "train/flow/left/into_future", "train/disparity/left",
    "train/disparity_change/left/into_future", "val/image_clean/left", "val/flow/left/into_future",
    "val/disparity/left", "val/disparity_change/left/into_future",
]  # fmt: skip
_THINGS = [
    f"{folder}/{part}" for folder in ("frames_cleanpass", "optical_flow", "disparity", "disparity_change")
    for part in ("TRAIN", "TEST")
]  # fmt: skip


_CHAIRS = [f"data/{pair}_{end}" for pair in ("00001", "22872") for end in ("img1.ppm", "img2.ppm")]
_SINTEL = [
    f"training/{folder}/{scene}/frame_0001.{end}"
    for folder, end in (("clean", "png"), ("final", "png"), ("flow", "flo"), ("occlusions", "png"))
    for scene in ("alley_1", "temple_3")
]
_SINTEL_TEST = [
    f"test/{folder}/{scene}/frame_0001.png" for folder in ("clean", "final") for scene in ("ambush_1", "wall")
]


def probes(stage: str) -> tuple[DataName, list[str]]:
    """Return the data set that a stage reads, and first and last files of each kind."""
    if stage in TEACHER_LABELS:
        stage = TEACHER_LABELS[stage].student
    training = TRAININGS.get(stage)
    if training is not None and training.data != "kitti":
        return training.data, {"things": _THINGS, "chairs": _CHAIRS, "sintel": _SINTEL}[training.data]
    if stage in SUBMITTED:
        return ("kitti", _TEST) if stage == "submit" else ("sintel", _SINTEL_TEST)
    if stage in ("sintel_check", "sintel_evaluate"):
        return "sintel", _SINTEL
    if stage == "labels":
        return "kitti", _VIDEO
    video = stage == "check" or (training is not None and (training.labels or training.view == "flow"))
    return "kitti", [*_PAIRS, *(_VIDEO if video else []), *_TRUTH]


def missing(settings: Settings, stages: Sequence[str]) -> dict[str, list[tuple[Path, str]]]:
    """Return layout -> the missing files or folders that the stages need, each with its archive."""
    found: dict[str, dict[Path, str]] = {}
    for stage in stages:
        data, names = probes(stage)
        root, layout = settings.root(data), settings.layout(data)
        if layout == "things_subset":
            names = _SUBSET
        for name in names:
            # FlyingThings3D's images may be the WebP files, and FlyingChairs may be in the folder of its archive.
            forms = (name, re.sub(r"^frames_\w+", r"\g<0>_webp", name), f"FlyingChairs_release/{name}")
            if not any((root / form).exists() for form in forms):
                archive = archive_of(layout, name if "." in name else f"{name}/") or ""
                found.setdefault(layout, {})[root / name] = archive
    return {layout: list(paths.items()) for layout, paths in found.items()}


def screen(settings: Settings, stages: Sequence[str], reproduction: Name = "kitti") -> str | None:
    """Return a report of what is missing, for the user; None if nothing is."""
    found = missing(settings, stages)
    if not found:
        return None
    lines = [
        f"data are missing under DATA_ROOT={settings.data_root} (links to folders elsewhere are accepted):"
    ]
    for dataset, paths in found.items():
        root = next(settings.root(data) for data in _DATA if settings.layout(data) == dataset)
        archives: dict[str, list[Path]] = {}
        for path, archive in paths:
            archives.setdefault(archive, []).append(path)
        lines += ["", f"into {root}, from {DOWNLOADS[dataset].page}:"]
        for archive, members in archives.items():
            more = f" and {len(members) - 1} more places" if len(members) > 1 else ""
            lines.append(f"  {archive}: contains {members[0].relative_to(root)}{more}")
        if dataset == "things":
            lines.append(
                "  or its smaller subset, which the released code reads, into FlyingThings3D_subset beside it"
            )
    lines += ["", f"`flowdistill data tree {next(iter(found))}` shows all folders."]
    without = [stage for stage in stages if "chairs" in found and _reads_chairs(stage)]
    instead = {TRAININGS[stage].starts[-1] for stage in stages if without and stage in _STARTS_ELSEWHERE}
    chosen = [stage for stage in ORDER[reproduction] if stage in {*stages, *instead} - {*without}]
    if possible := _possible(settings, chosen):
        lines.append(f'With the existing data: STAGES="{" ".join(possible)}"')
        if instead & {*possible}:
            lines.append(
                "(there DDFlow starts on its target; the published networks started from FlyingChairs)"
            )
    lines.append(f"Without any data: make reproduce-{reproduction} SMOKE=1")
    return "\n".join(lines)


_DATA: tuple[DataName, ...] = ("kitti", "things", "chairs", "sintel")
_STARTS_ELSEWHERE = [name for name, training in TRAININGS.items() if len(training.starts) > 1]


def check_data(settings: Settings, stages: Sequence[str], reproduction: Name = "kitti") -> None:
    """Raise UserError, with the report, if data are missing."""
    text = screen(settings, stages, reproduction)
    if text is not None:
        raise UserError(text)


def _reads_chairs(stage: str) -> bool:
    return (stage in TRAININGS or stage in TEACHER_LABELS) and probes(stage)[0] == "chairs"


def _possible(settings: Settings, stages: Sequence[str]) -> list[str]:
    """Return the stages whose data, and those of the stages they need, exist."""
    possible: list[str] = []
    for stage in stages:
        needs = required(stage, settings, stages)
        if not missing(settings, [stage]) and all(need in possible or need not in stages for need in needs):
            possible.append(stage)
    return possible
