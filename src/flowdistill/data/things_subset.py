"""The subset of FlyingThings3D that DispNet and FlowNet 2.0 were trained on.

    <root>/train/image_clean/left/0000000.png                     train or val; image_final: with blur and defocus;
                                                                   or 0000000.webp, all of them
    <root>/train/flow/left/into_future/0000000.flo                a pair exists where this file does,
    <root>/train/flow/left/into_past/0000001.flo                  and this one, if the folder is there (optional)
    <root>/train/disparity/left/0000000.pfm                       NEGATIVE for the left camera
    <root>/train/disparity_change/left/into_future/0000000.pfm    added to it, both as stored
    <root>/train/flow_occlusions/left/into_future/0000000.png     255 = occluded in the other frame   (optional)
    <root>/train/disparity_occlusions/left/0000000.png            255 = not seen by the right camera  (optional)

An id is `train/0000000`: t0 is that frame, t1 the next number (`subset_pairs.py`). Flow and its
occlusion have ground truth for both cameras.
Source: the data set's web page, "DispNet/FlowNet2.0 dataset subsets".
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from flowdistill.data.dataset import ViewName
from flowdistill.data.files import FLO, MASK, NEGATIVE_PFM_CHANGE, NEGATIVE_PFM_DISPARITY, SampleFile
from flowdistill.data.pictures import PNG, WEBP, Pictures, PicturesDataset, pictures_in
from flowdistill.data.scan_cache import cached_ids
from flowdistill.data.splits import CAMERAS, Camera, SplitEntry
from flowdistill.data.subset_pairs import no_pair, pairs_by_flow, up_to_the_last_picture, with_pictures
from flowdistill.data.tree import Listings, contents
from flowdistill.errors import UserError

PARTS = ("train", "val")


class ThingsSubsetDataset(PicturesDataset):
    """FlyingThings3D's subset (`dataset: things_subset`); options: `render_pass: clean|final`.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.data import SplitEntry, ThingsSubsetDataset
        >>> from flowdistill.formats import write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = Path(root, "train", "image_clean", "left")
        ...     folder.mkdir(parents=True)
        ...     for frame in (0, 1):
        ...         write_image(folder / f"{frame:07d}.png", np.zeros((64, 96, 3), np.uint8))
        ...     sample = ThingsSubsetDataset(root, [SplitEntry("train/0000000")], "flow", labels=False)[0]
        >>> sample["name"], sample["left_t1"].shape
        ('train/0000000', torch.Size([3, 64, 96]))
    """

    name = "things_subset"
    title = "FlyingThings3D's subset"
    id_form = re.compile(r"(train|val)/(\d{7})")
    id_words = "part and frame, for example train/0000000"
    digits = 7
    split_words: ClassVar[tuple[str, ...]] = ("scan", *(f"scan:{part}" for part in PARTS))

    def truth(self, entry: SplitEntry) -> list[SampleFile]:
        part, frame = self._parts(entry)
        folder, camera, name = f"{self.root}/{part}", entry.camera, f"{frame:07d}"
        files = []
        if self.view == "scene_flow":
            change = f"{folder}/disparity_change/left/into_future/{name}.pfm"
            files += [
                SampleFile("disparity_t0", f"{folder}/disparity/left/{name}.pfm", NEGATIVE_PFM_DISPARITY),
                SampleFile("disparity_t1", change, NEGATIVE_PFM_CHANGE),
            ]
            files += self._mask("valid_disparity_t0_noc", f"{part}/disparity_occlusions/left", name)
        files.append(SampleFile("flow", f"{folder}/flow/{camera}/into_future/{name}.flo", FLO))
        files += self._mask("occluded", f"{part}/flow_occlusions/{camera}/into_future", name)
        if self.view == "flow" and self.has_folder(f"{part}/flow/{camera}/into_past"):
            after = f"{frame + 1:07d}"
            past = f"{folder}/flow/{camera}/into_past/{after}.flo"
            files.append(SampleFile("flow_backward", past, FLO, "optional"))
            files += self._mask("occluded_backward", f"{part}/flow_occlusions/{camera}/into_past", after)
        return files

    def _mask(self, key: str, folder: str, name: str) -> list[SampleFile]:
        if not self.has_folder(folder):
            return []
        return [SampleFile(key, f"{self.root}/{folder}/{name}.png", MASK, "optional")]

    @classmethod
    def pictures_of(cls, root: str, part: str, options: Mapping[str, str], camera: Camera) -> Pictures:
        folder = f"image_{options['render_pass']}"
        place = f"{root}/{part}/{folder}/{camera}"
        return pictures_in({Pictures(folder, suffix): place for suffix in (PNG, WEBP)}, cls.digits)

    def picture_folder(self, part: str) -> str:
        return f"{part}/{self._pictures.folder}"

    @classmethod
    def markers(cls, options: Mapping[str, str]) -> list[str]:
        return [f"{part}/image_{options['render_pass']}" for part in PARTS]

    @classmethod
    def named_split(cls, word: str, root: str, options: Mapping[str, str]) -> list[SplitEntry]:
        """`scan:train`, `scan:val`, or `scan` for both: every pair with flow, with or without images; cached."""
        part = word.partition(":")[2]
        ids = []
        for name in [part] if part else PARTS:
            found = cached_ids(root, f"{cls.name}-{name}", partial(pairs_by_flow, name))
            ids += up_to_the_last_picture(root, name, cls.pictures_of(root, name, options, "left"), found)
        if not ids:
            place = f"{root}/{part or PARTS[0]}/flow/left/into_future"
            raise UserError(
                f"{place} contains no flow files (0000000.flo), but {contents(place)}. They determine which frames are "
                "consecutive, so they are needed even for training without labels."
            )
        return [SplitEntry(id_) for id_ in ids]

    @classmethod
    def with_images(
        cls, entries: list[SplitEntry], root: str, options: Mapping[str, str], view: ViewName
    ) -> list[SplitEntry]:
        """Return the entries of a scan whose images all exist; prints how many are left out."""
        ids = [entry.id for entry in entries]
        pictures = cls.pictures_of(root, ids[0].partition("/")[0], options, "left")
        ids = with_pictures(root, pictures, ids, CAMERAS if view == "scene_flow" else CAMERAS[:1])
        return [SplitEntry(id_) for id_ in ids]

    @classmethod
    def no_pair(cls, entry: SplitEntry, root: str, present: Listings) -> str | None:
        match = cls.match_id(entry)
        return no_pair(root, match[1], int(match[2]), entry.camera, present)
