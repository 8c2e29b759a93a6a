"""FlyingChairs: image pairs with flow, one camera.

    <root>/FlyingChairs_release/data/00001_img1.ppm  00001_img2.ppm  00001_flow.flo
    <root>/FlyingChairs_train_val.txt                one line per pair, in order: 1 = training, 2 = validation
                                                     (optional)

The root may also be `FlyingChairs_release` itself, including the text file. An id is `00001`. Pairs are 384x512.
Source: Dosovitskiy et al., FlowNet, ICCV 2015, and the data set's web page.
"""

import re
from collections.abc import Mapping
from typing import ClassVar

from flowdistill.data.access import is_folder
from flowdistill.data.chairs_split import official_ids
from flowdistill.data.dataset import MotionDataset, ViewName
from flowdistill.data.files import FLO, SampleFile
from flowdistill.data.splits import Camera, SplitEntry
from flowdistill.data.tree import contents, listing
from flowdistill.errors import UserError

RELEASE = "FlyingChairs_release"


class ChairsDataset(MotionDataset):
    """FlyingChairs (`dataset: chairs`).

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.data import ChairsDataset, SplitEntry
        >>> from flowdistill.formats import write_flo, write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = Path(root, "FlyingChairs_release", "data")
        ...     folder.mkdir(parents=True)
        ...     for name in ("00001_img1.ppm", "00001_img2.ppm"):
        ...         write_image(folder / name, np.zeros((384, 512, 3), np.uint8))
        ...     write_flo(folder / "00001_flow.flo", np.full((384, 512, 2), [3.0, 4.0]))
        ...     sample = ChairsDataset(root, [SplitEntry("00001")], view="flow", labels=True)[0]
        >>> sample["flow"].norm(dim=0).mean().item()
        5.0
    """

    name = "chairs"
    title = "FlyingChairs"
    id_form = re.compile(r"\d{5}")
    id_words = "five digits, for example 00001"
    views: ClassVar[tuple[ViewName, ...]] = ("flow",)
    cameras: ClassVar[tuple[Camera, ...]] = ("left",)
    split_words: ClassVar[tuple[str, ...]] = ("scan", "official:train", "official:val")

    def images(self, entry: SplitEntry) -> list[SampleFile]:
        return self.image_files(entry, lambda _, time: self._path(entry, f"img{time + 1}.ppm"))

    def truth(self, entry: SplitEntry) -> list[SampleFile]:
        return [SampleFile("flow", self._path(entry, "flow.flo"), FLO)]

    def _path(self, entry: SplitEntry, ending: str) -> str:
        folder = f"{RELEASE}/data" if self.has_folder(f"{RELEASE}/data") else "data"
        return f"{self.root}/{folder}/{entry.id}_{ending}"

    @classmethod
    def markers(cls, options: Mapping[str, str]) -> list[str]:
        return [f"{RELEASE}/data", "data"]

    @classmethod
    def named_split(cls, word: str, root: str, options: Mapping[str, str]) -> list[SplitEntry]:
        """`official:train`, `official:val`: from FlyingChairs_train_val.txt, else our copy of it; `scan`: all pairs."""
        if word != "scan":
            return [SplitEntry(id_) for id_ in official_ids(root, word.partition(":")[2])]
        inner = f"{root}/{RELEASE}/data"
        folder = inner if is_folder(inner) else f"{root}/data"
        names = listing(folder)
        ids = sorted(name[:5] for name in names if re.fullmatch(r"\d{5}_img1\.ppm", name))
        entries = [SplitEntry(id_) for id_ in ids if f"{id_}_img2.ppm" in names]
        if not entries:
            raise UserError(
                f"{folder} contains no pair of images, but {contents(folder)}. A pair is 00001_img1.ppm and "
                "00001_img2.ppm."
            )
        return entries
