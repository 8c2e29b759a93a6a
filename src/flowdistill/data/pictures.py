"""FlyingThings3D's images, which are distributed as PNG and as WebP: a data set uses one format.

Where frames exist in both formats, PNG is read. If some frames are PNG and others WebP, unpacking or conversion is
incomplete: this is an error, since either format alone would be a smaller data set than the user has.
"""

import re
from abc import abstractmethod
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import ClassVar, NamedTuple

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.files import IMAGE, WEBP_IMAGE, FileKind, SampleFile
from flowdistill.data.splits import CAMERAS, Camera, SplitEntry
from flowdistill.data.tree import listing
from flowdistill.errors import UserError

PNG, WEBP = ".png", ".webp"
_KINDS = {PNG: IMAGE, WEBP: WEBP_IMAGE}


class Pictures(NamedTuple):
    """The folder of a render pass, and the suffix of the images in it."""

    folder: str
    suffix: str

    @property
    def kind(self) -> FileKind:
        """The kind of file, which defines how the images are read."""
        return _KINDS[self.suffix]


class PicturesDataset(MotionDataset):
    """What FlyingThings3D and its subset have in common: two cameras, and images in one of two formats."""

    labelled_cameras: ClassVar[tuple[Camera, ...]] = CAMERAS
    option_values: ClassVar[Mapping[str, tuple[str, ...]]] = {"render_pass": ("clean", "final")}
    digits: ClassVar[int]
    """Of a frame number in the names of images."""

    @classmethod
    @abstractmethod
    def pictures_of(cls, root: str, part: str, options: Mapping[str, str], camera: Camera) -> Pictures:
        """Return the images of a part of the data that are read. Raises UserError if some are PNG and others WebP."""

    @abstractmethod
    def picture_folder(self, part: str) -> str:
        """Return the folder, under the root, of the images of a part of the data, which contains one per camera."""

    def images(self, entry: SplitEntry) -> list[SampleFile]:
        part, frame = self._parts(entry)
        folder, suffix = f"{self.root}/{self.picture_folder(part)}", self._pictures.suffix
        return self.image_files(
            entry,
            lambda camera, time: f"{folder}/{camera}/{frame + time:0{self.digits}d}{suffix}",
            self._pictures.kind,
        )

    @cached_property
    def _pictures(self) -> Pictures:
        """PNG or WebP, as for the first sample; samples without this format are then reported as missing."""
        first = self.entries[0]
        return self.pictures_of(self.root, self._parts(first)[0], self.options, first.camera)

    def _parts(self, entry: SplitEntry) -> tuple[str, int]:
        """Return the part of the data and the frame number in an id."""
        match = self.match_id(entry)
        return match[1], int(match[2])


def frames_of(names: Collection[str], suffix: str, digits: int) -> set[str]:
    """Return the frame numbers, as strings of `digits` digits, of the images among the names in a folder."""
    return {name[:digits] for name in names if re.fullmatch(rf"\d{{{digits}}}\{suffix}", name)}


def pictures_in(places: Mapping[Pictures, str], digits: int) -> Pictures:
    """Choose the images to read.

    Args:
        places: the candidates in order of preference, each with the folder of some of its frames.
        digits: number of digits of a frame number.

    Returns:
        The first candidate with any frames; if none has frames, the first whose folder exists; else the first.

    Raises:
        UserError: as `one_kind`.
    """
    names = {pictures: listing(place) for pictures, place in places.items()}
    frames = {pictures: frames_of(found, pictures.suffix, digits) for pictures, found in names.items()}
    chosen = one_kind(frames, " and ".join(dict.fromkeys(places.values())))
    return chosen or next((pictures for pictures, found in names.items() if found), next(iter(places)))


def one_kind(frames: Mapping[Pictures, set[str]], where: str) -> Pictures | None:
    """Return the first images of which there are any frames.

    Args:
        frames: the frames of each candidate, in order of preference.
        where: their location, for the message.

    Raises:
        UserError: if another candidate has frames that this one lacks.
    """
    chosen = next((pictures for pictures, found in frames.items() if found), None)
    if chosen is None:
        return None
    for pictures, found in frames.items():
        if lacking := sorted(found - frames[chosen]):
            raise UserError(
                f"{where}: {len(frames[chosen])} frames are {chosen.suffix} files in {chosen.folder}, but "
                f"{len(lacking)} exist only as {pictures.suffix} files in {pictures.folder}, such as {lacking[0]}. All "
                "images must have the same format: unpack or convert the rest, or move one format away."
            )
    return chosen
