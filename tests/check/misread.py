"""Misread labels, injected into the files of a data set, and harmless changes that must not be reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.check.plan import plan_check
from flowdistill.data import MotionDataModule
from flowdistill.data.files import FileKind, SampleFile
from flowdistill.formats import (
    read_flo,
    read_image,
    read_kitti_disparity,
    read_kitti_flow,
    read_pfm,
    write_flo,
    write_image,
    write_kitti_disparity,
    write_kitti_flow,
    write_pfm,
)

Label = npt.NDArray[np.float32]  # (H, W, C), NaN where unknown
LABELS = ("flow", "flow_backward", "disparity_t0", "disparity_t1")
MISREADINGS = (
    "negated",
    "upside down",
    "mirrored",
    "x and y swapped",
    "upper half repeated",
    "of a neighbouring frame",
)
OF_FLOW = ("negated", "x and y swapped")
FACTORS = (1, 16, 100)
VARIANTS = ("as rendered", "sparse", "noise", "exposure")


def read_label(file: SampleFile) -> Label:
    """A motion as stored; NaN where it is not known."""
    title = file.kind.title
    if "KITTI" in title:
        values, valid = (read_kitti_flow if "flow" in title else read_kitti_disparity)(file.path)
        return np.where(valid[..., None], values, np.float32(np.nan))
    values = read_flo(file.path) if title.startswith(".flo") else read_pfm(file.path)
    return np.where(np.abs(values) < 1e9, values, np.float32(np.nan)).astype(np.float32)


def write_label(file: SampleFile, values: Label) -> None:
    title = file.kind.title
    if title == "16-bit KITTI flow":
        write_kitti_flow(file.path, values)
    elif title == "16-bit KITTI disparity":
        write_kitti_disparity(file.path, values)
    elif title.startswith(".flo"):
        write_flo(file.path, np.where(np.isnan(values), 1.7e9, values))
    else:
        write_pfm(file.path, values)


def files_by_key(module: MotionDataModule) -> dict[str, list[SampleFile]]:
    """Key of the batch contract -> its files in the order of the samples, without duplicates."""
    found: dict[str, dict[tuple[str, FileKind], SampleFile]] = {}
    for samples in plan_check(module).splits:
        for sample in samples:
            for file in (*sample.files, *sample.spare):
                found.setdefault(file.key, {}).setdefault((file.path, file.kind), file)
    return {key: list(files.values()) for key, files in found.items()}


def applies(misreading: str, key: str) -> bool:
    return misreading not in OF_FLOW or key.startswith("flow")


def misread(labels: list[Label], misreading: str, file: SampleFile) -> list[Label]:
    """Contents of the files of one key after the misreading."""
    if misreading == "of a neighbouring frame":  # every file contains the label of the next one
        return [*labels[1:], labels[-2]]
    return [_misread_one(label, misreading, file) for label in labels]


def _misread_one(label: Label, misreading: str, file: SampleFile) -> Label:
    if misreading == "negated":
        return -label if label.shape[2] == 2 else label * np.float32([-1, -1, 1])
    if misreading == "upside down":
        return label[::-1]
    if misreading == "mirrored":
        return label[:, ::-1]
    if misreading == "x and y swapped":
        return np.concatenate([label[..., 1::-1], label[..., 2:]], axis=2)
    assert misreading == "upper half repeated"
    half = label.shape[0] // 2
    return np.concatenate([label[:half], label[: label.shape[0] - half]])


def mean_difference(before: list[Label], after: list[Label]) -> float:
    """px, over all files and the pixels that are known in both."""
    lengths = [np.linalg.norm((a - b)[..., :2], axis=2) for a, b in zip(after, before, strict=True)]
    everything = np.concatenate([length[np.isfinite(length)].ravel() for length in lengths])
    return float(everything.mean()) if everything.size else 0.0


def vary(module: MotionDataModule, variant: str, seed: int) -> None:
    """Change the files of a data set without making its labels wrong."""
    rng = np.random.default_rng(seed)
    files = files_by_key(module)
    if variant == "sparse":
        _thin_out(files, seed)
        return
    for path in dict.fromkeys(path for path, kind in _pictures(files)):
        picture = read_image(path).astype(np.float64)
        if variant == "noise":
            picture += rng.normal(0, 8, picture.shape)
        elif variant == "exposure":
            gain, offset, gamma = rng.uniform(0.6, 1.4), rng.uniform(-25, 25), rng.uniform(0.8, 1.25)
            picture = 255 * (np.clip(picture * gain + offset, 0, 255) / 255) ** gamma
        else:
            return
        write_image(path, np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def _thin_out(files: dict[str, list[SampleFile]], seed: int) -> None:
    """Keep the pixels of a simulated laser scanner, the same in all labels of a sample."""
    for key in (*LABELS, *(f"valid_{key}_noc" for key in LABELS)):
        for file in files.get(key, []):
            if file.kind.quantity == "mask" or file.kind.title.startswith("PFM"):
                continue  # dense layouts; NaN in a PFM would be a separate finding
            label = read_label(file)
            rng = np.random.default_rng([seed, *Path(file.path).name.encode()])
            known = rng.random(label.shape[:2]) < 0.2
            known[: label.shape[0] // 3] = False
            write_label(file, np.where(known[..., None], label, np.float32(np.nan)))


def with_noc(files: dict[str, list[SampleFile]], key: str) -> list[list[SampleFile]]:
    """The files of a label and of its non-occluded part, which are misread in the same way."""
    noc = files.get(f"valid_{key}_noc", [])
    return [files[key], *([noc] if noc and noc[0].kind.quantity != "mask" else [])]


def plant(files: list[SampleFile], change: Callable[[list[Label]], list[Label]]) -> float:
    """Write changed labels and return their difference to the true ones, px."""
    before = [read_label(file) for file in files]
    after = change(before)
    for file, label in zip(files, after, strict=True):
        write_label(file, np.ascontiguousarray(label))
    return mean_difference(before, after)


def plant_factor(files: list[SampleFile], factor: int) -> float:
    """Store KITTI's disparities with a factor other than 256."""
    before = [read_label(file) for file in files]
    for file, label in zip(files, before, strict=True):
        codes = np.where(np.isnan(label), 0, np.clip(np.rint(label * factor), 1, 65535)).astype(np.uint16)
        cv2.imwrite(file.path, codes[..., 0])
    return mean_difference(before, [label * np.float32(factor / 256) for label in before])


def _pictures(files: dict[str, list[SampleFile]]) -> Iterator[tuple[str, FileKind]]:
    for key in ("left_t0", "right_t0", "left_t1", "right_t1"):
        yield from ((file.path, file.kind) for file in files.get(key, []))
