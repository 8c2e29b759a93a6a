"""KITTI 2012: stereo and flow of static scenes, without object maps and without disparities at t1.

    <root>/training/colored_0/SSSSSS_FF.png      left colour camera (colored_1: right); image_0, image_1: grey cameras
    <root>/training/flow_occ flow_noc/...        16-bit flow, as in 2015
    <root>/training/disp_occ disp_noc/...        16-bit disparity at t0, positive
    <root>/training/calib/SSSSSS.txt             projection matrices P0 P1 (grey) and P2 P3 (colour)     (optional)
    <root>/testing/...                           195 sequences without labels

Ids are as in KITTI 2015. Source: the development kit of KITTI's stereo and flow benchmark 2012.
"""

from collections.abc import Mapping
from typing import ClassVar

from flowdistill.data.kitti import KittiDataset
from flowdistill.data.splits import Camera


class Kitti2012Dataset(KittiDataset):
    """KITTI 2012 (`dataset: kitti2012`); options: `part: training|testing`, `images: colored|image`.

    `images: image` reads the grey cameras, as RGB. The scene-flow view has no `disparity_t1`.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.data import Kitti2012Dataset, SplitEntry
        >>> from flowdistill.formats import write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = Path(root, "testing", "image_0")
        ...     folder.mkdir(parents=True)
        ...     for name in ("000000_10.png", "000000_11.png"):
        ...         write_image(folder / name, np.full((64, 96), 51, np.uint8))
        ...     options = {"part": "testing", "images": "image"}  # the grey cameras
        ...     sample = Kitti2012Dataset(root, [SplitEntry("000000_10")], "flow", labels=False, options=options)[0]
        >>> sample["left_t0"][:, 0, 0]  # 51 / 255, as RGB
        tensor([0.2000, 0.2000, 0.2000])
    """

    name = "kitti2012"
    title = "KITTI 2012"
    option_values: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "part": ("training", "testing"),
        "images": ("colored", "image"),
    }

    disparity_folders: ClassVar[Mapping[str, tuple[str, str]]] = {"disparity_t0": ("disp_occ", "disp_noc")}
    object_folder: ClassVar[str | None] = None
    calibration_folder: ClassVar[str] = "calib"

    @classmethod
    def image_folders(cls, options: Mapping[str, str]) -> dict[Camera, str]:
        return {"left": f"{options['images']}_0", "right": f"{options['images']}_1"}

    @classmethod
    def matrices(cls, options: Mapping[str, str]) -> tuple[str, str]:
        return ("P2", "P3") if options["images"] == "colored" else ("P0", "P1")
