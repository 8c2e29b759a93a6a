"""Small correct submissions, written with OpenCV and struct only, for tests to corrupt."""

import dataclasses
import zipfile
from pathlib import Path

import cv2
import numpy as np

import slow_sintel
from flowdistill.submission.kinds import SubmissionKind, kitti2012, kitti2015, sintel

SIZE = (24, 40)
SCENES = 3
#: Two test scenes of 3 and 4 frames.
FRAMES = {"wall": 3, "PERTURBED_market_3": 4}


def tiny_kind(benchmark: str, task: str = "flow") -> SubmissionKind:
    """The real rules with fewer and smaller images."""
    if benchmark == "sintel":
        kind = sintel(FRAMES)
    else:
        kind = (kitti2015 if benchmark == "kitti2015" else kitti2012)(task, SCENES)
    return dataclasses.replace(kind, sizes=frozenset({SIZE}))


def flow_codes(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint16, u v valid: up to 12 px, a tenth of the pixels missing."""
    rng = np.random.default_rng(seed)
    codes = (rng.integers(-12 * 64, 12 * 64, (*size, 3)) + 32768).astype(np.uint16)
    codes[..., 2] = rng.random(size) < 0.9
    return codes


def disparity_codes(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """(H, W) uint16: up to 30 px, some pixels missing."""
    rng = np.random.default_rng(seed)
    codes: np.ndarray = rng.integers(300, 30 * 256, size).astype(np.uint16)
    codes[rng.random(size) < 0.1] = 0
    return codes


def write_png(path: Path, codes: np.ndarray) -> None:
    """Channels in file order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), codes[..., ::-1] if codes.ndim == 3 else codes)


def read_png(path: Path) -> np.ndarray:
    codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return codes[..., ::-1] if codes.ndim == 3 else codes


def write_folder(folder: Path, kind: SubmissionKind) -> Path:
    for seed, (path, file) in enumerate(kind.files.items()):
        if file.content == "flo":
            flow = np.random.default_rng(seed).normal(0, 4, (*SIZE, 2))
            slow_sintel.write_flo(folder / path, flow)
        else:
            write_png(folder / path, (flow_codes if file.content == "flow" else disparity_codes)(SIZE, seed))
    return folder


def pack(folder: Path, archive: Path) -> Path:
    """Zip like `zip -r` inside the folder, with entries for folders."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        for path in sorted(folder.rglob("*")):
            stream.write(path, path.relative_to(folder).as_posix())
    return archive
