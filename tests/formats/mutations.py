"""Deterministic ways to damage a file: general ones for all formats, and some that keep a format's outer structure."""

import struct
from collections.abc import Iterator

import numpy as np
from handmade_files import chunk
from strict_decoders import chunks_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIDES = (0, 1, 3, 4, 6, 255, 65_535, 65_536, 65_537, 2**31 - 1, 2**31, 2**32 - 1)


def general(content: bytes, seed: int, truncations: int = 60, changes: int = 120) -> Iterator[bytes]:
    """Truncations, longer files, changed, lost, doubled, zeroed and exchanged bytes."""
    rng = np.random.default_rng(seed)
    size = len(content)
    for length in sorted({*range(0, size, max(size // truncations, 1)), size - 1}):
        yield content[:length]
    for extra in (b"\0", b"\n", b"\xff" * 7, bytes(4096), content):
        yield content + extra
        yield extra + content
    for _ in range(changes):
        damaged = bytearray(content)
        damaged[rng.integers(size)] ^= 1 << int(rng.integers(8))
        yield bytes(damaged)
    for _ in range(changes // 2):
        start, length = int(rng.integers(size)), int(rng.integers(1, 17))
        end = min(start + length, size)
        yield content[:start] + content[end:]
        yield content[:end] + content[start:end] + content[end:]
        yield content[:start] + bytes(end - start) + content[end:]
        yield content[:start] + rng.bytes(end - start) + content[end:]
        other = int(rng.integers(size))
        swapped = bytearray(content)
        swapped[start], swapped[other] = swapped[other], swapped[start]
        yield bytes(swapped)


def flo_headers(content: bytes) -> Iterator[bytes]:
    """Other magic numbers, byte orders and sizes."""
    for magic in (b"HEIP", b"PIE\0", struct.pack("<f", 202021.0), struct.pack(">f", 202021.25)):
        yield magic + content[4:]
    width, height = struct.unpack_from("<2i", content, 4)
    yield content[:4] + struct.pack(">2i", width, height) + content[12:]
    for side in SIDES:
        for size in ((side, height), (width, side), (side, side), (side, 0x40000000)):
            yield content[:4] + struct.pack("<2I", *size) + content[12:]


def text_headers(content: bytes) -> Iterator[bytes]:
    """Other words in the header of PFM and PPM, of which there are four on three lines."""
    magic, size, last, data = content.split(b"\n", 3)
    width, height = size.split()
    words = [
        b"0",
        b"-1",
        b"1",
        b"007",
        b"+5",
        b"4294967301",
        b"99999999999",
        b"1e1",
        b"x",
        b"5.0",
        b"\xb2",
        b"",
    ]
    for word in words:
        yield b"\n".join([magic, word + b" " + height, last, data])
        yield b"\n".join([magic, width + b" " + word, last, data])
        yield b"\n".join([magic, word + b" " + word, last, data])
        yield b"\n".join([magic, size, word, data])
    for word in (
        b"65535",
        b"254",
        b"nan",
        b"inf",
        b"-inf",
        b"1e999",
        b"-1e-400",
        b"1.0",
        b"-0.0",
        b"2",
        b"1_0",
    ):
        yield b"\n".join([magic, size, word, data])
    for other in (b"PF", b"Pf", b"P6", b"P5", b"P3", b"P7", b"pf", b"PF4", b"P6 #"):
        yield b"\n".join([other, size, last, data])
    for blank in (b"\r\n", b"\t", b"  ", b"\n\n", b"\n#a\n", b"", b"\0", b"#" + b"\n" * 300):
        yield blank.join([magic, size, last + b"\n" + data])
        yield b"\n".join([magic, size, last]) + blank + data
    yield magic + b"\n" + b" " * 5000 + size + b"\n" + last + b"\n" + data


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A file of these chunks, with right checksums."""
    return SIGNATURE + b"".join(chunk(kind, body) for kind, body in chunks)


def png_structures(content: bytes, seed: int) -> Iterator[bytes]:
    """Damage hidden by correct checksums: other headers, orders, kinds and bodies of chunks."""
    rng = np.random.default_rng(seed)
    chunks = chunks_of(content)
    (_, header), rest = chunks[0], chunks[1:]
    width, height, *methods = struct.unpack(">2I5B", header)

    def with_header(*fields: int) -> bytes:
        return png_of([(b"IHDR", struct.pack(">2I5B", *fields)), *rest])

    for side in SIDES:
        yield with_header(side, height, *methods)
        yield with_header(width, side, *methods)
        yield with_header(side, side, *methods)
    for depth in (0, 1, 2, 3, 4, 7, 8, 16, 17, 32, 255):
        for colour in range(8):
            yield with_header(width, height, depth, colour, *methods[2:])
    for place in (2, 3, 4):
        for value in (0, 1, 2, 64, 255):
            fields = list(methods)
            fields[place] = value
            yield with_header(width, height, *fields)
    for index in range(len(chunks)):
        yield png_of(chunks[:index] + chunks[index + 1 :])
        yield png_of(chunks[: index + 1] + chunks[index:])
        for other in range(index):
            swapped = list(chunks)
            swapped[index], swapped[other] = swapped[other], swapped[index]
            yield png_of(swapped)
        kind, body = chunks[index]
        for replaced in (b"IDAT", b"IEND", b"PLTE", b"tRNS", b"IHDR", b"fdAT", b"ABCD", b"aBcD", b"a\0c!"):
            yield png_of([*chunks[:index], (replaced, body), *chunks[index + 1 :]])
        for cut in {0, 1, len(body) // 2, max(len(body) - 1, 0), max(len(body) - 4, 0)}:
            yield png_of([*chunks[:index], (kind, body[:cut]), *chunks[index + 1 :]])
            yield png_of([*chunks[:index], (kind, body[:cut]), (kind, body[cut:]), *chunks[index + 1 :]])
            yield png_of([*chunks[:index], (kind, body[:cut]), (b"tEXt", b"a\0b"), (kind, body[cut:]), *rest])
        yield png_of([*chunks[:index], (kind, body + b"more"), *chunks[index + 1 :]])
        for _ in range(25 if kind == b"IDAT" else 5):
            if body:
                damaged = bytearray(body)
                damaged[rng.integers(len(body))] ^= 1 << int(rng.integers(8))
                yield png_of([*chunks[:index], (kind, bytes(damaged)), *chunks[index + 1 :]])
