"""CRC-32C (Castagnoli) of large buffers, vectorised with numpy, and TensorFlow's masked form of it.

A buffer is cut into equal pieces whose checksums are computed in parallel, byte by byte, and then joined: appending n
zero bytes to a message is a linear map of its checksum, kept as four tables of 256 entries.

Source: RFC 3720, appendix B.4 (polynomial and test vectors); the mask is LevelDB's (log format).
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78  # reflected
_LANES = 4096  # pieces
_MASK_DELTA = 0xA282EAD8
Table = npt.NDArray[np.uint32]


def crc32c(content: bytes | memoryview) -> int:
    """Return the checksum of a buffer.

    Examples:
        >>> from flowdistill.interop.crc32c import crc32c
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    octets = np.frombuffer(content, dtype=np.uint8)
    length = len(octets) // _LANES
    state = 0xFFFFFFFF
    if length:
        lanes = octets[: length * _LANES].reshape(_LANES, length)
        states = np.zeros(_LANES, dtype=np.uint32)
        for column in np.ascontiguousarray(lanes.T):
            states = _TABLE[(states ^ column) & 0xFF] ^ (states >> 8)
        # The first piece starts from the initial state, the others from 0.
        shift = _appending_zeros(length)
        for piece in states.tolist():
            state = _apply(shift, state) ^ piece
    for octet in octets[length * _LANES :].tolist():
        state = _LIST[(state ^ octet) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def unmasked(masked: int) -> int:
    """Return the checksum that is stored as `masked`: rotated, and with a constant added.

    Examples:
        >>> from flowdistill.interop.crc32c import masked, unmasked
        >>> hex(unmasked(masked(0xE3069283)))
        '0xe3069283'
    """
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def masked(checksum: int) -> int:
    """Return the form of a checksum that is stored."""
    return ((((checksum >> 15) | (checksum << 17)) & 0xFFFFFFFF) + _MASK_DELTA) & 0xFFFFFFFF


def _table() -> Table:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1).astype(np.uint32)
    return values


_TABLE = _table()
_LIST = _TABLE.tolist()


@functools.lru_cache(maxsize=64)
def _appending_zeros(count: int) -> tuple[tuple[int, ...], ...]:
    """Return the map of a state that `count` zero bytes cause, as a table for each of its four bytes."""
    columns = [1 << bit for bit in range(32)]  # the identity
    power = [_LIST[column & 0xFF] ^ (column >> 8) for column in columns]  # one zero byte
    while count:
        if count & 1:
            columns = [_times(power, column) for column in columns]
        power = [_times(power, column) for column in power]
        count >>= 1
    return tuple(tuple(_times(columns, octet << (8 * place)) for octet in range(256)) for place in range(4))


def _times(columns: list[int], vector: int) -> int:
    """Multiply a 32x32 matrix over GF(2), given by columns, with a vector of bits."""
    result, bit = 0, 0
    while vector:
        if vector & 1:
            result ^= columns[bit]
        vector >>= 1
        bit += 1
    return result


def _apply(tables: tuple[tuple[int, ...], ...], state: int) -> int:
    return (
        tables[0][state & 0xFF]
        ^ tables[1][(state >> 8) & 0xFF]
        ^ tables[2][(state >> 16) & 0xFF]
        ^ tables[3][state >> 24]
    )
