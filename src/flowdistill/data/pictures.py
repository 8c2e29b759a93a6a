"""FlyingThings3D's pictures, which its page offers as PNG and as WebP: one data set holds one kind.

Where frames are there as both, PNG is read. Frames of which some are PNG and others WebP were half unpacked or half
converted: an error, since what is there of either kind would be a smaller data set than the user has.
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from flowdistill.data.files import IMAGE, WEBP_IMAGE, FileKind
from flowdistill.data.tree import listing
from flowdistill.errors import UserError

PNG, WEBP = ".png", ".webp"
_KINDS = {PNG: IMAGE, WEBP: WEBP_IMAGE}


class Pictures(NamedTuple):
    """The folder of a render pass, and the suffix of the pictures in it."""

    folder: str
    suffix: str

    @property
    def kind(self) -> FileKind:
        """How they are read."""
        return _KINDS[self.suffix]


def frames_of(names: Collection[str], suffix: str, digits: int) -> set[str]:
    """The frames' numbers, as texts of `digits` digits, of the pictures among the names in a folder."""
    return {name[:digits] for name in names if re.fullmatch(rf"\d{{{digits}}}\{suffix}", name)}


def pictures_in(places: Mapping[Pictures, str], digits: int) -> Pictures:
    """The pictures that are read.

    Args:
        places: those that there may be, the preferred ones first, each with the folder of some of its frames.
        digits: of a frame's number.

    Returns:
        The first kind of which there are any frames; without any, the first that has a folder; else the first.

    Raises:
        UserError: as `one_kind`.
    """
    names = {pictures: listing(place) for pictures, place in places.items()}
    frames = {pictures: frames_of(found, pictures.suffix, digits) for pictures, found in names.items()}
    chosen = one_kind(frames, " and ".join(dict.fromkeys(places.values())))
    return chosen or next((pictures for pictures, found in names.items() if found), next(iter(places)))


def one_kind(frames: Mapping[Pictures, set[str]], where: str) -> Pictures | None:
    """The first pictures of which there are any frames.

    Args:
        frames: of each kind of pictures, the preferred ones first.
        where: they lie, for the message.

    Raises:
        UserError: others have frames that these lack.
    """
    chosen = next((pictures for pictures, found in frames.items() if found), None)
    if chosen is None:
        return None
    for pictures, found in frames.items():
        if lacking := sorted(found - frames[chosen]):
            raise UserError(
                f"{where}: {len(frames[chosen])} frames are {chosen.suffix} files in {chosen.folder}, but "
                f"{len(lacking)} only {pictures.suffix} files in {pictures.folder}, such as {lacking[0]}. Pictures are "
                "all of one kind: unpack or convert the rest, or move one kind away."
            )
    return chosen
