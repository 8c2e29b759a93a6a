"""The orientation tag, which asks viewers to rotate or mirror a picture. The readers do not apply it.

Both frames of a pair are stored as captured by the sensor. A phone that is held flat may write different tags for
consecutive shots without being turned: applying the tags could rotate one frame of a pair and not the other.
Source: EXIF 2.32, sections 4.5.4 and 4.6.4 (tag 274).
"""

import os
from collections.abc import Iterator

from flowdistill.formats.errors import FormatError
from flowdistill.formats.jpeg import JPEG_START
from flowdistill.formats.tiff_tags import TIFF_STARTS, read_directories
from flowdistill.formats.webp import is_webp, webp_chunks

_ORIENTATION, _UPRIGHT = 274, 1
_EXIF = b"Exif\0\0"
_JPEG_DATA, _JPEG_APP1 = 0xDA, 0xE1


def asks_to_be_turned(path: str | os.PathLike[str], content: bytes) -> bool:
    """Return whether a JPEG, WebP or TIFF has an orientation other than upright; False if none can be read."""
    for exif in _exif(path, content):
        try:
            tags = read_directories(path, exif)[0] if exif.startswith(TIFF_STARTS) else {}
        except FormatError:  # in an intact picture: viewers do not find a tag there, either
            continue
        if tags.get(_ORIENTATION, (_UPRIGHT,))[:1] != (_UPRIGHT,):
            return True
    return False


def _exif(path: str | os.PathLike[str], content: bytes) -> Iterator[bytes]:
    if content.startswith(TIFF_STARTS):
        yield content
    elif is_webp(content):
        yield from (
            bytes(body).removeprefix(_EXIF) for kind, body in webp_chunks(path, content) if kind == b"EXIF"
        )
    elif content.startswith(JPEG_START):
        position = 2
        while (
            position + 4 <= len(content) and content[position] == 0xFF and content[position + 1] != _JPEG_DATA
        ):
            end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
            body = content[position + 4 : end]
            if content[position + 1] == _JPEG_APP1 and body.startswith(_EXIF):
                yield body.removeprefix(_EXIF)
            position = end
