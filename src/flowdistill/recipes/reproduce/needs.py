"""Check that the data exist: a report of what is missing and where it belongs, before anything starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from flowdistill.check.downloads import DOWNLOADS, archive_of
from flowdistill.errors import UserError
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import TRAININGS

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


def probes(stage: str) -> tuple[str, list[str]]:
    """Return the data set that a stage reads ("kitti2015" or "things"), and first and last files of each kind."""
    if stage == "pretrain":
        return "things", _THINGS
    if stage in ("labels", "submit"):
        return "kitti2015", _VIDEO if stage == "labels" else _TEST
    training = TRAININGS.get(stage)
    video = stage == "check" or (training is not None and (training.labels or training.view == "flow"))
    return "kitti2015", [*_PAIRS, *(_VIDEO if video else []), *_TRUTH]


def missing(settings: Settings, stages: Sequence[str]) -> dict[str, list[tuple[Path, str]]]:
    """Return data set -> the missing files or folders that the stages need, each with its archive."""
    found: dict[str, dict[Path, str]] = {}
    for stage in stages:
        dataset, names = probes(stage)
        root = settings.kitti
        if dataset == "things":
            root = settings.things
            if root.name.endswith("_subset"):
                dataset, names = "things_subset", _SUBSET
        for name in names:
            # FlyingThings3D's images may be the WebP files.
            forms = (name, re.sub(r"^frames_\w+", r"\g<0>_webp", name))
            if not any((root / form).exists() for form in forms):
                archive = archive_of(dataset, name if "." in name else f"{name}/") or ""
                found.setdefault(dataset, {})[root / name] = archive
    return {dataset: list(paths.items()) for dataset, paths in found.items()}


def screen(settings: Settings, stages: Sequence[str]) -> str | None:
    """Return a report of what is missing, for the user; None if nothing is."""
    found = missing(settings, stages)
    if not found:
        return None
    lines = [
        f"data are missing under DATA_ROOT={settings.data_root} (links to folders elsewhere are accepted):"
    ]
    for dataset, paths in found.items():
        root = settings.kitti if dataset == "kitti2015" else settings.things
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
    lines += ["", "`flowdistill data tree kitti`, `things` and `things_subset` show all folders."]
    if possible := _possible(settings, stages):
        lines.append(f'With the existing data: STAGES="{" ".join(possible)}"')
    lines.append("Without any data: make reproduce-kitti SMOKE=1")
    return "\n".join(lines)


def check_data(settings: Settings, stages: Sequence[str]) -> None:
    """Raise UserError, with the report, if data are missing."""
    text = screen(settings, stages)
    if text is not None:
        raise UserError(text)


def _possible(settings: Settings, stages: Sequence[str]) -> list[str]:
    """Return the stages whose data, and those of the stages they need, exist."""
    possible: list[str] = []
    for stage in stages:
        needs = TRAININGS[stage].needs if stage in TRAININGS else ()
        if not missing(settings, [stage]) and all(need in possible or need not in stages for need in needs):
            possible.append(stage)
    return possible
