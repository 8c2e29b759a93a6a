"""Pictures by OpenCV, by Pillow and by hand, each with the 8-bit RGB pixels that it represents."""

import io
import struct
import zlib

import cv2
import numpy as np
from handmade_files import GREY, GREY_ALPHA, PALETTE, RGB, RGB_ALPHA, chunk, png
from PIL import Image

HEIGHT, WIDTH = 26, 37
_RNG = np.random.default_rng(3)
COLOUR = cv2.GaussianBlur(_RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 1)
DEEP = _RNG.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
INDEXED = Image.fromarray(COLOUR).quantize(60)

Case = tuple[bytes, np.ndarray]


def pillow(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(stream, format=kind, **options)
    return stream.getvalue()


def opencv(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    """Encodes grey, RGB or RGB with alpha."""
    order = {2: Ellipsis, 3: (..., [2, 1, 0, 3][: pixels.shape[-1]])}[pixels.ndim]
    return cv2.imencode(suffix, np.ascontiguousarray(pixels[order]), list(options))[1].tobytes()


def with_alpha(pixels: np.ndarray, alpha: int | None = None) -> np.ndarray:
    """(H, W) or (H, W, 3) with one more channel, opaque by default."""
    value = np.iinfo(pixels.dtype).max if alpha is None else alpha
    return np.dstack([pixels, np.full(pixels.shape[:2], value, pixels.dtype)])


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def scaled(deep: np.ndarray) -> np.ndarray:
    """16 bit in 8, rounded to the nearest."""
    return np.rint(deep / 257).astype(np.uint8)


def tiff(pixels: np.ndarray, order: str = "<", rows: int = 7, **tags: int | tuple[int, ...]) -> bytes:
    """A TIFF by hand: strips of `rows` rows, packed by DEFLATE; `tags`, `t274=6`, add to the others or replace them."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = 8 * pixels.dtype.itemsize
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    strips = [zlib.compress(stored[top : top + rows].tobytes()) for top in range(0, height, rows)]
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    fields: dict[int, tuple[int, ...]] = {
        256: (width,), 257: (height,), 258: (bits,) * channels, 259: (8,), 262: (2 if channels > 2 else 1,),
        273: tuple(starts[:-1]), 277: (channels,), 278: (rows,), 279: tuple(map(len, strips)),
    }  # fmt: skip
    for name, values in tags.items():
        fields[int(name[1:])] = values if isinstance(values, tuple) else (values,)
    directory = starts[-1]
    beyond = directory + 6 + 12 * len(fields)
    entries, extra = b"", b""
    for tag, numbers in sorted(fields.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(packed) > 4:
            place, extra = struct.pack(f"{order}I", beyond + len(extra)), extra + packed
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + place
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", directory)
    count = struct.pack(f"{order}H", len(fields))
    return start + b"".join(strips) + count + entries + bytes(4) + extra


def differences(pixels: np.ndarray) -> np.ndarray:
    """Each pixel minus its left neighbour: TIFF's predictor 2."""
    return np.diff(pixels, axis=1, prepend=np.zeros_like(pixels[:, :1]))


def _decoded(content: bytes) -> Case:
    """A lossy file, and its pixels decoded by Pillow."""
    return content, np.array(Image.open(io.BytesIO(content)).convert("RGB"))


def _tiffs() -> dict[str, Case]:
    found: dict[str, Case] = {}
    grey, indexed = COLOUR[..., 0], np.array(INDEXED.convert("RGB"))
    for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        for name, pixels, expected in (
            ("rgb", COLOUR, COLOUR), ("grey", grey, three(grey)), ("rgba", with_alpha(COLOUR), COLOUR),
            ("palette", INDEXED, indexed),
        ):  # fmt: skip
            content = pillow(pixels, "TIFF", compression=packing)
            found[f"tiff {packing} {name}"] = content, expected
    for packing in (1, 5, 8, 32773):
        for predictor in (1, 2):
            options = cv2.IMWRITE_TIFF_COMPRESSION, packing, cv2.IMWRITE_TIFF_PREDICTOR, predictor
            found[f"tiff16 {packing} {predictor}"] = opencv(".tif", DEEP, *options), scaled(DEEP)
    grey16 = DEEP[..., 1]
    found["tiff16 grey"] = opencv(".tiff", grey16), three(scaled(grey16))
    found["tiff16 rgba"] = opencv(".tiff", with_alpha(DEEP)), scaled(DEEP)
    for order in "<>":
        found[f"tiff {order} by hand"] = tiff(COLOUR, order), COLOUR
        found[f"tiff16 {order} by hand"] = tiff(differences(DEEP), order, t317=2), scaled(DEEP)
    found["tiff white is 0"] = tiff(255 - grey, t262=0), three(grey)
    found["tiff16 white is 0"] = tiff(65535 - grey16, t262=0), three(scaled(grey16))
    found["tiff grey + alpha"] = tiff(with_alpha(grey), t338=2), three(grey)
    found["tiff with empty tags"] = tiff(COLOUR, t254=(), t274=(), t317=()), COLOUR
    found["tiff of one strip"] = tiff(COLOUR, rows=2**32 - 1), COLOUR
    return found


def _pngs() -> dict[str, Case]:
    grey, deep = COLOUR[..., 0], DEEP[..., 0]
    bright = np.maximum(COLOUR, 1)
    indices = COLOUR[..., 0] % 4
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]], np.uint8)
    palette = chunk(b"PLTE", colours.tobytes())
    return {
        "png rgb": (png(COLOUR, RGB), COLOUR),
        "png grey": (png(grey, GREY), three(grey)),
        "png palette": (png(indices, PALETTE, palette), colours[indices]),
        "png palette with opaque tRNS": (
            png(indices, PALETTE, palette + chunk(b"tRNS", b"\xff\xff")), colours[indices],
        ),
        "png palette with an unused clear colour": (
            png(indices % 3, PALETTE, palette + chunk(b"tRNS", b"\xff\xff\xff\0")), colours[indices % 3],
        ),
        "png palette of 4 bit": (
            pillow(INDEXED.quantize(16), "PNG", bits=4), np.array(INDEXED.quantize(16).convert("RGB")),
        ),
        "png rgb, tRNS of no pixel": (png(bright, RGB, chunk(b"tRNS", bytes(6))), bright),
        "png grey, tRNS of no pixel": (png(bright[..., 0], GREY, chunk(b"tRNS", bytes(2))), three(bright[..., 0])),
        "png of 1 bit": (pillow(Image.fromarray(grey > 99), "PNG"), three(np.where(grey > 99, 255, 0))),
        "png rgba": (pillow(with_alpha(COLOUR), "PNG"), COLOUR),
        "png rgba by OpenCV": (opencv(".png", with_alpha(COLOUR)), COLOUR),
        "png grey + alpha": (pillow(with_alpha(grey), "PNG"), three(grey)),
        "png16 rgb": (opencv(".png", DEEP), scaled(DEEP)),
        "png16 grey": (opencv(".png", deep), three(scaled(deep))),
        "png16 rgba": (png(with_alpha(DEEP), RGB_ALPHA), scaled(DEEP)),
        "png16 grey + alpha": (png(with_alpha(deep), GREY_ALPHA), three(scaled(deep))),
        "png with a profile": (pillow(COLOUR, "PNG", icc_profile=b"not even a profile"), COLOUR),
        "png with gamma": (png(COLOUR, RGB, chunk(b"gAMA", struct.pack(">I", 22727))), COLOUR),
    }  # fmt: skip


def _others() -> dict[str, Case]:
    grey, deep = COLOUR[..., 0], DEEP[..., 0]
    indexed, few = np.array(INDEXED.convert("RGB")), INDEXED.quantize(2).convert("1")
    return {
        "webp lossless": (opencv(".webp", COLOUR, cv2.IMWRITE_WEBP_QUALITY, 101), COLOUR),
        "webp lossless rgba": (pillow(with_alpha(COLOUR), "WEBP", lossless=True), COLOUR),
        "webp lossless with a profile": (pillow(COLOUR, "WEBP", lossless=True, icc_profile=b"profile"), COLOUR),
        "webp lossy": _decoded(pillow(COLOUR, "WEBP", quality=90)),
        "webp lossy with a profile": _decoded(pillow(COLOUR, "WEBP", quality=70, icc_profile=b"profile")),
        "webp of a pixel": (pillow(COLOUR[:1, :1], "WEBP", lossless=True), COLOUR[:1, :1]),
        "bmp rgb": (opencv(".bmp", COLOUR), COLOUR),
        "bmp rgb by Pillow": (pillow(COLOUR, "BMP"), COLOUR),
        "bmp grey": (opencv(".bmp", grey), three(grey)),
        "bmp rgba": (opencv(".bmp", with_alpha(COLOUR)), COLOUR),
        "bmp rgba by Pillow": (pillow(with_alpha(COLOUR), "BMP"), COLOUR),
        "bmp from the top": (
            b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, 3, -2, 1, 24, 0, 0, 0, 0, 0, 0)
            + bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 11, 12, 13, 14, 15, 16, 17, 18, 19, 0, 0, 0]),
            np.array([[[3, 2, 1], [6, 5, 4], [9, 8, 7]], [[13, 12, 11], [16, 15, 14], [19, 18, 17]]]),
        ),
        "bmp of OS/2 with 4 bit": (
            b"BM" + struct.pack("<IIIIHHHH", 0, 0, 26 + 48, 12, 3, 2, 1, 4) + bytes(range(48))
            + b"\x12\x30\0\0" + b"\xfe\xd0\0\0",
            np.array([15, 14, 13, 1, 2, 3]).reshape(2, 3, 1) * 3 + [2, 1, 0],
        ),
        "bmp with channels in another order": (
            b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 66, 40, 1, 1, 1, 32, 3, 0, 0, 0, 0, 0)
            + struct.pack("<III", 0xFF, 0xFF00, 0xFF0000) + bytes([1, 2, 3, 0]),
            np.array([[[1, 2, 3]]]),
        ),
        "bmp palette": (pillow(INDEXED, "BMP"), indexed),
        "bmp of 1 bit": (pillow(few, "BMP"), np.array(few.convert("RGB"))),
        "ppm": (opencv(".ppm", COLOUR), COLOUR),
        "pgm": (opencv(".pgm", grey), three(grey)),
        "ppm16": (opencv(".ppm", DEEP), scaled(DEEP)),
        "pgm16": (pillow(Image.fromarray(deep), "PPM"), three(scaled(deep))),
        "ppm16 of 10 bit": (
            b"P6\n37 26\n1023\n" + (DEEP >> 6).astype(">u2").tobytes(), np.rint((DEEP >> 6) * (255 / 1023)),
        ),
    }  # fmt: skip


PICTURES: dict[str, Case] = {**_pngs(), **_tiffs(), **_others()}
"""Name -> content and pixels (H, W, 3); a name that begins with a kind and `16` is of a file deeper than 8 bit."""
