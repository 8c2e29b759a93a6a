"""TIFF pictures: 8 and 16 bit, grey, RGB or palette, with alpha, in strips; one page.

Every strip must lie in the file and contain exactly its rows. An 8-bit palette has 16-bit colours, of which the upper
byte is used; the fourth channel of RGB, or the second of grey, is treated as alpha with or without a tag.
Source: TIFF, revision 6.0, sections 3 to 8, 14 (predictor) and 18 (alpha).
"""

import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from kornia_rs import io as decoders

from flowdistill.formats.errors import check_sides, format_error
from flowdistill.formats.tiff_packing import UNPACKERS, PackingError
from flowdistill.formats.tiff_tags import Tags, byte_order, read_directories

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _OFFSETS, _SAMPLES, _ROWS, _LENGTHS, _PLANES = 266, 273, 277, 278, 279, 284
_PREDICTOR, _PALETTE, _TILE, _SAMPLE_FORMAT = 317, 320, 322, 339
_WHITE_IS_0, _BLACK_IS_0, _RGB, _INDEXED = range(4)
_REDUCED, _MASK = 1, 4  # bits of _SUBFILE: a smaller version, a mask of another picture
_DIFFERENCES, _LZW = 2, 5


class TiffHeader(NamedTuple):
    """Fields from the tags of the picture."""

    height: int
    width: int
    channels: int
    bits: int
    colours: int
    tags: Tags


def inspect_tiff(path: str | os.PathLike[str], content: bytes) -> TiffHeader:
    """Parse the header of a TIFF of one page, and check that its strips lie in the file.

    Raises FormatError for other pictures and for truncated ones.
    """
    directories = read_directories(path, content)
    tags = directories[0]
    pages = [page for page in directories if not page.get(_SUBFILE, (0,))[0] & (_REDUCED | _MASK)]
    if len(pages) > 1:
        raise format_error(path, "a TIFF of one page", f"{len(pages)}; save each page to its own file")

    def one(tag: int, default: int = 0) -> int:
        return tags.get(tag, (default,))[0]

    height, width, colours = one(_HEIGHT), one(_WIDTH), one(_COLOURS, -1)
    check_sides(path, height, width, "a TIFF")
    channels = one(_SAMPLES, 1)
    bits = set(tags.get(_BITS, (1,)))
    plain = 3 if colours == _RGB else 1
    known = {
        "without compression or with LZW, DEFLATE or PackBits": one(_COMPRESSION, 1) in UNPACKERS,
        "in grey, RGB or with a palette": colours in (_WHITE_IS_0, _BLACK_IS_0, _RGB, _INDEXED),
        "of 8 or 16 bit": bits in ({8}, {16}) and one(_SAMPLE_FORMAT, 1) == 1,
        "of 8-bit indices": colours != _INDEXED or (bits == {8} and channels == 1),
        "with at most an alpha channel more": channels in (plain, plain + 1),
        "pixel after pixel": one(_PLANES, 1) == 1 or channels == 1,
        "in strips": _TILE not in tags and _OFFSETS in tags and _LENGTHS in tags,
        "with rows as they are or as differences": one(_PREDICTOR, 1) in (1, _DIFFERENCES),
        "with its bits from high to low": one(_FILL_ORDER, 1) == 1,
    }
    for what, is_so in known.items():
        if not is_so:
            found = (
                f"another one ({width} x {height}, {channels} channels of {sorted(bits)} bit, compression "
                f"{one(_COMPRESSION, 1)}, photometric {colours}); convert it to PNG"
            )
            raise format_error(path, f"a TIFF {what}", found)
    header = TiffHeader(height, width, channels, bits.pop(), colours, tags)
    _check_strips(path, len(content), header)
    return header


def decode_tiff(
    path: str | os.PathLike[str], content: bytes, header: TiffHeader
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Decode pixels (H, W, C), uint8 or uint16: grey, grey + alpha, RGB or RGB + alpha; orientation tags are ignored.

    Raises FormatError if a strip is damaged, and for an index without a colour.
    """
    height, width, channels, bits, colours, tags = header
    compression = tags.get(_COMPRESSION, (1,))[0]
    if compression == _LZW and (colours, channels) in ((_BLACK_IS_0, 1), (_RGB, 3)):
        return _decode_lzw(path, header)
    unpack = UNPACKERS[compression]
    row = width * channels * bits // 8
    rows = _rows_of_strip(header)
    parts = []
    for number, (offset, length) in enumerate(zip(tags[_OFFSETS], tags[_LENGTHS], strict=True)):
        size = row * min(rows, height - number * rows)
        expected = f"{size} bytes in strip {number} of {len(tags[_OFFSETS])} of a TIFF"
        try:
            part = unpack(content[offset : offset + length], size)
        except PackingError as error:
            raise format_error(path, expected, f"damaged data ({error})") from error
        if len(part) != size:
            few = f"{len(part)}, too few" if len(part) < size else "more"
            raise format_error(path, expected, f"{few} (damaged)")
        parts.append(part)
    kind = np.dtype(f"{byte_order(content)}u{bits // 8}")
    pixels = (
        np.frombuffer(b"".join(parts), kind).reshape(height, width, channels).astype(kind.newbyteorder("="))
    )
    if tags.get(_PREDICTOR, (1,))[0] == _DIFFERENCES:
        pixels = np.cumsum(pixels, axis=1, dtype=pixels.dtype)
    if colours == _WHITE_IS_0:
        pixels[..., 0] = ~pixels[..., 0]
    if colours != _INDEXED:
        return pixels
    palette = np.array(tags.get(_PALETTE, ()), np.uint16)
    if len(palette) != 3 << bits:
        raise format_error(path, f"a TIFF's palette of {3 << bits} numbers", f"{len(palette)}")
    return (palette >> 8).astype(np.uint8).reshape(3, -1).T[pixels[..., 0]]


def _decode_lzw(path: str | os.PathLike[str], header: TiffHeader) -> npt.NDArray[np.uint8 | np.uint16]:
    """Decode grey and RGB as `decode_tiff`, 24 times as fast as `unpack_lzw`. LZW is OpenCV's default compression."""
    decoder = decoders.read_image_tiff_u16 if header.bits == 16 else decoders.read_image_tiff_u8
    expected = f"a TIFF of {header.height} x {header.width}"
    try:
        pixels = decoder(os.fspath(path), "rgb" if header.colours == _RGB else "mono")
    except Exception as error:  # the decoder does not raise a narrower class
        raise format_error(path, expected, f"pixels that cannot be decoded ({error})") from error
    if pixels.shape != header[:3]:
        raise format_error(path, expected, f"pixels of shape {pixels.shape} from the decoder")
    return pixels


def _rows_of_strip(header: TiffHeader) -> int:
    return min(header.tags.get(_ROWS, (header.height,))[0], header.height)


def _check_strips(path: str | os.PathLike[str], length: int, header: TiffHeader) -> None:
    """Check that the number of strips matches the rows, and that all strips lie in the file."""
    offsets, lengths = header.tags[_OFFSETS], header.tags[_LENGTHS]
    rows = _rows_of_strip(header)
    wanted = -(-header.height // rows) if rows else 0
    if not len(offsets) == len(lengths) == wanted or not wanted:
        found = f"{len(offsets)} of them and {len(lengths)} lengths"
        raise format_error(path, f"{wanted} strips of {rows} rows for {header.height} rows of a TIFF", found)
    end = max(offset + size for offset, size in zip(offsets, lengths, strict=True))
    if end > length:
        raise format_error(path, f"the strips of a TIFF up to byte {end}", f"{length} bytes (truncated)")
