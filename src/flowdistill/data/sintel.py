"""MPI-Sintel: short films, one camera.

    <root>/training/clean/alley_1/frame_0001.png           final: with motion blur, defocus and fog
    <root>/training/flow/alley_1/frame_0001.flo
    <root>/training/occlusions/alley_1/frame_0001.png      255 = occluded in the next frame              (optional)
    <root>/training/invalid/alley_1/frame_0001.png         255 = excluded from the metrics               (optional)
    <root>/test/clean final/...                            the same without labels

An id is `clean/alley_1/frame_0001`: t1 is the next frame. Flow, occlusions and invalid are common to both passes.
Source: Butler et al., A naturalistic open source movie for optical flow evaluation, ECCV 2012, and its web page.
"""

import re
from collections.abc import Mapping
from typing import ClassVar

from flowdistill.data.dataset import MotionDataset, ViewName
from flowdistill.data.files import FLO, MASK, SampleFile
from flowdistill.data.splits import Camera, SplitEntry
from flowdistill.data.tree import contents, listing, without_gaps
from flowdistill.errors import UserError

PASSES = ("clean", "final")


class SintelDataset(MotionDataset):
    """MPI-Sintel (`dataset: sintel`); options: `part: training|test`, `render_pass: both|clean|final`.

    `render_pass` removes the other pass from every split.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.data import open_dataset
        >>> from flowdistill.formats import write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for render_pass in ("clean", "final"):
        ...         folder = Path(root, "training", render_pass, "alley_1")
        ...         folder.mkdir(parents=True)
        ...         for frame in (1, 2):
        ...             write_image(folder / f"frame_{frame:04d}.png", np.zeros((64, 96, 3), np.uint8))
        ...     pairs = open_dataset("sintel", root, "scan", "flow", labels=False, options={"render_pass": "final"})
        >>> [entry.id for entry in pairs.entries]
        ['final/alley_1/frame_0001']
    """

    name = "sintel"
    title = "MPI-Sintel"
    id_form = re.compile(r"(clean|final)/(\w+)/frame_(\d{4})")
    id_words = "pass, scene and frame, for example clean/alley_1/frame_0001"
    views: ClassVar[tuple[ViewName, ...]] = ("flow",)
    cameras: ClassVar[tuple[Camera, ...]] = ("left",)
    option_values: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "part": ("training", "test"),
        "render_pass": ("both", *PASSES),
    }

    def images(self, entry: SplitEntry) -> list[SampleFile]:
        render_pass, scene, frame = self._parts(entry)
        folder = f"{self.root}/{self.options['part']}/{render_pass}/{scene}"
        return self.image_files(entry, lambda _, time: f"{folder}/frame_{frame + time:04d}.png")

    def truth(self, entry: SplitEntry) -> list[SampleFile]:
        _, scene, frame = self._parts(entry)
        name = f"{scene}/frame_{frame:04d}"
        files = [SampleFile("flow", f"{self.root}/training/flow/{name}.flo", FLO)]
        for key, folder in (("valid_flow", "invalid"), ("occluded", "occlusions")):
            if self.has_folder(f"training/{folder}"):
                files.append(SampleFile(key, f"{self.root}/training/{folder}/{name}.png", MASK, "optional"))
        return files

    def without_truth(self) -> str | None:
        return "the test part has no labels" if self.options["part"] == "test" else None

    def _parts(self, entry: SplitEntry) -> tuple[str, str, int]:
        match = self.match_id(entry)
        return match[1], match[2], int(match[3])

    @classmethod
    def markers(cls, options: Mapping[str, str]) -> list[str]:
        return [f"{options['part']}/{render_pass}" for render_pass in _passes(options)]

    @classmethod
    def select(cls, entries: list[SplitEntry], options: Mapping[str, str]) -> list[SplitEntry]:
        passes = tuple(f"{render_pass}/" for render_pass in _passes(options))
        return [
            entry for entry in entries if entry.id.startswith(passes) or not cls.id_form.fullmatch(entry.id)
        ]

    @classmethod
    def named_split(cls, word: str, root: str, options: Mapping[str, str]) -> list[SplitEntry]:
        """`scan`: every frame with a successor in the chosen passes; frames of either pass are expected in both."""
        entries = []
        parts = [f"{root}/{options['part']}/{name}" for name in _passes(options)]
        for render_pass in _passes(options):
            folder = f"{root}/{options['part']}/{render_pass}"
            for scene in sorted(listing(folder)):
                names = [name for part in parts for name in listing(f"{part}/{scene}")]
                frames = without_gaps(
                    int(name[6:10]) for name in names if re.fullmatch(r"frame_\d{4}\.png", name)
                )
                pairs = [frame for frame in sorted(frames) if frame + 1 in frames]
                entries += [SplitEntry(f"{render_pass}/{scene}/frame_{frame:04d}") for frame in pairs]
        if not entries:
            place = f"{root}/{options['part']}/{_passes(options)[0]}"
            raise UserError(
                f"{place} contains no pair of frames, but {contents(place)}. Frames are expected as "
                "SCENE/frame_0001.png; a pair is two consecutive frames."
            )
        return entries


def _passes(options: Mapping[str, str]) -> tuple[str, ...]:
    return PASSES if options["render_pass"] == "both" else (options["render_pass"],)
