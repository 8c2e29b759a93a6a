"""A teacher that reads precomputed predictions from files, checked and converted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowdistill.data.access import is_folder
from flowdistill.data.files import (
    FLO,
    KITTI_DISPARITY,
    KITTI_FLOW,
    NEGATIVE_PFM_DISPARITY,
    PFM_DISPARITY,
    PFM_FLOW,
    Content,
)
from flowdistill.data.frame_ids import RIGHT
from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.labels.config import FilesPart
from flowdistill.labels.estimate import Estimate, estimate

_FLOWS = {".flo": FLO, ".pfm": PFM_FLOW, ".png": KITTI_FLOW}


class FilesTeacher:
    """Reads the files of a sample by the patterns in its config.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.formats import write_flo
        >>> from flowdistill.labels.config import FilesPart
        >>> from flowdistill.labels.files_teacher import FilesTeacher
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_flo(f"{folder}/000000_10.flo", np.full((4, 6, 2), [1.5, np.nan]))
        ...     teacher = FilesTeacher(FilesPart(folder, flow="{id}.flo"))
        ...     found = teacher({"name": "000000_10", "left_t0": torch.rand(3, 4, 6)})
        >>> list(found), found["flow"].known.any().item()  # NaN in one channel: unknown
        (['flow'], False)
    """

    def __init__(self, part: FilesPart) -> None:
        self.part = part
        self.folder = Path(part.folder)
        if not is_folder(self.folder):
            raise UserError(f"files.folder: there is no folder {self.folder} (looked for from {Path.cwd()}).")

    def __call__(self, sample: Sample) -> dict[str, Estimate]:
        name = sample["name"]
        camera = "right" if name.endswith(RIGHT) else "left"
        found = {}
        for motion, pattern in self.part.patterns().items():
            path = self.folder / pattern.format(id=name.removesuffix(RIGHT), camera=camera)
            found[motion] = self._read(path, "flow" in motion, sample["left_t0"].shape[-1])
        _refuse_change(name, found)
        return found

    def _read(self, path: Path, is_flow: bool, width: int) -> Estimate:
        disparity = PFM_DISPARITY if self.part.sign == "positive" else NEGATIVE_PFM_DISPARITY
        kind = (_FLOWS if is_flow else {".png": KITTI_DISPARITY, ".pfm": disparity})[path.suffix]
        content = kind.read(str(path))
        if not isinstance(content, Content) or content.valid is None:
            raise ValueError(f"{path}: the reader of a {kind.title} must say what is valid")
        values, valid = content.values * np.float32(kind.sign), content.valid
        far = valid & (np.abs(np.where(valid[..., None], values, 0)).max(axis=2) > kind.largest * width)
        if 2 * int(far.sum()) > int(valid.sum()):
            raise UserError(
                f"{path}: most of its values exceed {kind.largest:g} image widths. Are they in pixels of this image?"
            )
        if not is_flow:
            right, total = int((valid & (values[..., 0] >= 0)).sum()), int(valid.sum())
            if 2 * right < total:
                raise UserError(
                    f"{path}: {total - right} of {total} disparities have the wrong sign. Set files.sign, which is "
                    f"{self.part.sign}, to the sign used in the .pfm files."
                )
            valid = valid & (values[..., 0] >= 0)
        return estimate(values, valid & ~far)


#: Ratio of a scene's median disparities at t0 and t1 that no camera reaches between two frames. Ours.
_LARGEST_RATIO = 4.0


def _refuse_change(name: str, found: dict[str, Estimate]) -> None:
    """Raise UserError if disparity_t1 looks like the change of disparity from t0 to t1, which some networks write."""
    if "disparity_t0" not in found or "disparity_t1" not in found:
        return
    first, second = found["disparity_t0"], found["disparity_t1"]
    both = first.known & second.known
    if not both.any():
        return
    before, after = (float(np.median(each.values[both])) for each in (first, second))
    if _LARGEST_RATIO * after < before:
        raise UserError(
            f"{name}: the median of disparity_t1 is {after:.2f} px, that of disparity_t0 {before:.2f} px. disparity_t1 "
            "is the disparity at t1 on the grid of t0, not its change: add disparity_t0 to the change before."
        )
