"""Make the checkpoints of this folder with TensorFlow itself (see README.md). Not run by the tests.

python make.py                        # the small ones, into this folder
python make.py --full WEIGHTS OUTPUT  # every array of an .npz as a variable, into OUTPUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def shapes(width: float) -> dict[str, list[int]]:
    """DDFlow's variables with every layer narrowed as flowdistill narrows it."""
    import json

    listed = json.loads((HERE.parent / "reference" / "ddflow_variables.json").read_text())
    images, flow, volume = 3, 2, 81

    def narrow(channels: int) -> int:
        return max(4, round(channels * width))

    found = {}
    for entry in listed:
        shape = list(entry["shape"])
        name = entry["name"]
        last = "/dilated_conv7/" in name or ("estimator" in name and "/conv6/" in name)
        shape[-1] = flow if last else narrow(shape[-1])
        if len(shape) == 4:
            channels = shape[2]
            if name == "feature_extractor/conv1_1/weights":
                shape[2] = images
            elif "estimator" in name and "conv1/" in name:
                shape[2] = volume + flow + narrow(channels - volume - flow)
            elif name == "context_network/dilated_conv1/weights":
                shape[2] = flow + narrow(channels - flow)
            else:
                shape[2] = narrow(channels)
        found[name] = shape
    return found


def value(name: str, shape: list[int]) -> np.ndarray:
    """Numbers that the test makes again."""
    seed = sum(map(ord, name))
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def small() -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    v1.disable_eager_execution()
    with v1.Graph().as_default():
        variables = []
        for number, (name, shape) in enumerate(shapes(0.0625).items()):
            with v1.device(f"/cpu:{number % 2}"):  # two devices, so that `sharded` makes two shards
                variables.append(v1.get_variable(name, initializer=value(name, shape)))
        step = v1.train.get_or_create_global_step()
        loss = tf.add_n([tf.reduce_sum(variable**2) for variable in variables])
        train = v1.train.AdamOptimizer(1e-9).minimize(loss, global_step=step)
        config = v1.ConfigProto(device_count={"CPU": 2}, allow_soft_placement=False)
        assert train is not None
        with v1.Session(config=config) as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver(sharded=True).save(session, str(HERE / "bundle"), write_meta_graph=False)
            v1.train.Saver(variables, write_version=v1.train.SaverDef.V1).save(
                session, str(HERE / "old_format"), write_meta_graph=False
            )
    compress_index(HERE / "bundle.index", HERE / "compressed.index")


def compress_index(source: Path, target: Path) -> None:
    """Write a table again with every block compressed by snappy, which TensorFlow's Saver reads but does not write."""
    import cramjam
    import google_crc32c

    content = source.read_bytes()
    footer = content[-48:]
    meta_offset, at = read_varint(footer, 0)
    meta_size, at = read_varint(footer, at)
    index_offset, at = read_varint(footer, at)
    index_size, _ = read_varint(footer, at)
    written = bytearray()

    def add(block: bytes) -> bytes:
        """Append a block and return its handle."""
        packed = bytes(cramjam.snappy.compress_raw(block)) + b"\x01"
        checksum = google_crc32c.value(packed)
        masked = (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF
        handle = varint(len(written)) + varint(len(packed) - 1)
        written.extend(packed + masked.to_bytes(4, "little"))
        return handle

    index = content[index_offset : index_offset + index_size]
    assert int.from_bytes(index[-4:], "little") == 1, "more blocks than this script handles"
    shared, at = read_varint(index, 0)
    key_size, at = read_varint(index, at)
    value_size, at = read_varint(index, at)
    assert shared == 0
    key, value = index[at : at + key_size], index[at + key_size : at + key_size + value_size]
    assert at + key_size + value_size == len(index) - 8, "more blocks than this script handles"
    offset, place = read_varint(value, 0)
    size, _ = read_varint(value, place)
    handle = add(content[offset : offset + size])
    meta = add(content[meta_offset : meta_offset + meta_size])
    entry = varint(0) + varint(len(key)) + varint(len(handle)) + key + handle
    last = add(entry + (0).to_bytes(4, "little") + (1).to_bytes(4, "little"))
    target.write_bytes(bytes(written) + (meta + last).ljust(40, b"\0") + content[-8:])


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (content[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if content[at - 1] < 0x80:
            return number, at


def varint(number: int) -> bytes:
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def full(weights: str, output: str) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    v1.disable_eager_execution()
    with np.load(weights) as stored, v1.Graph().as_default():
        for name in stored.files:
            v1.get_variable(name, initializer=stored[name])
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, output, write_meta_graph=False)


if __name__ == "__main__":
    full(*sys.argv[2:]) if sys.argv[1:2] == ["--full"] else small()
