"""Checkpoints that TensorFlow itself wrote (tests/golden/tensorflow) are read exactly; damaged ones are refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from flowdistill.cli.flowdistill import main
from flowdistill.cli.lightning import main as lightning
from flowdistill.errors import UserError
from flowdistill.inference.load import load_model
from flowdistill.interop import table, tensor_bundle, tensorflow_variables, wire
from flowdistill.interop.crc32c import crc32c, masked, unmasked
from flowdistill.networks import DDFlowNet
from flowdistill.training.init_from import init_from

GOLDEN = Path(__file__).parents[1] / "golden" / "tensorflow"
ROOT = Path(__file__).parents[2]
BUNDLE = ("bundle.index", *(f"bundle.data-{k:05d}-of-00003" for k in range(3)))


def value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers that make.py wrote."""
    seed = sum(map(ord, name))
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Copies of the files, with data files for the compressed index."""
    for path in GOLDEN.iterdir():
        if path.suffix not in (".py", ".md"):
            shutil.copy(path, tmp_path / path.name)
    for k in range(3):
        shutil.copy(GOLDEN / f"bundle.data-{k:05d}-of-00003", tmp_path / f"compressed.data-{k:05d}-of-00003")
    return tmp_path


def convert(checkpoint: Path, output: Path, *more: str, model: str = "ddflow") -> int:
    command = ["import", "tensorflow", "--model", model, "--checkpoint", str(checkpoint)]
    return main([*command, "--output", str(output), *more])


@pytest.mark.parametrize(
    "name", ["bundle", "bundle.index", "bundle.data-00001-of-00003", "compressed", "old_format"]
)
def test_every_variable_is_what_tensorflow_wrote(
    files: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(files / name, files / "out.ckpt") == 0
    told = capsys.readouterr().out
    assert "98 variables of ddflow, width 0.0625" in told
    if name != "old_format":
        assert "98 Adam, 98 Adam_1, 1 beta1_power, 1 beta2_power, 1 global_step" in told
    network = load_model(files / "out.ckpt", "--checkpoint", "cpu").network
    assert isinstance(network, DDFlowNet)
    found = tensorflow_variables(network)
    assert len(found) == 98
    for variable, parameter in found.items():
        stored = parameter.detach().permute(2, 3, 1, 0) if parameter.dim() == 4 else parameter.detach()
        np.testing.assert_array_equal(stored.numpy(), value(variable, tuple(stored.shape)), variable)


def test_imported_network_gives_the_originals_outputs(tmp_path: Path) -> None:
    variables = {
        v["name"]: reference.weight(v["name"], v["shape"], 1) for v in reference.numbers("ddflow_variables")
    }
    scoped = {f"model/{name}:0": array for name, array in variables.items()}
    np.savez(tmp_path / "weights.npz", global_step=np.int64(7), **scoped)
    assert convert(tmp_path / "weights.npz", tmp_path / "out.ckpt") == 0
    network = load_model(tmp_path / "out.ckpt", "--checkpoint", "cpu").network
    file = "ddflow_forward_b2_128x192"
    with torch.inference_mode():
        forward, backward = network(reference.tensor(file, "img1"), reference.tensor(file, "img2"))
    assert reference.relative_error(forward.full, reference.tensor(file, "fw_full_res")) < 1e-4
    assert reference.relative_error(backward.full, reference.tensor(file, "bw_full_res")) < 1e-4


def test_lightning_and_init_from_take_the_checkpoint(
    files: Path, rendered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert convert(files / "bundle", files / "out.ckpt") == 0
    configs = ("configs/demo/ddflow.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
    common = [part for config in configs for part in ("--config", config)]
    common += ["--data.init_args.root", str(rendered), "--data.init_args.num_workers", "0"]
    common += ["--model.init_args.width", "0.0625", "--trainer.logger", "false"]
    common += ["--data.init_args.flow.train_split", str(rendered / "train.txt")]
    common += ["--data.init_args.flow.val_split", str(rendered / "val.txt")]
    common += ["--trainer.enable_progress_bar", "false", "--ckpt_path", str(files / "out.ckpt")]
    output = files / "predictions"
    code = lightning(["predict", *common, "--prediction.output", str(output)])
    assert code == 0, capsys.readouterr().err
    assert list((output / "flow").glob("*.png"))
    network = DDFlowNet(0.0625)
    assert "all 98 tensors" in init_from(network, files / "out.ckpt")


def changed(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "bundle.data-00001-of-00003").unlink(), r"data-00001-of-00003 is missing"),
        (lambda folder: (folder / "bundle.index").unlink(), "belongs to|neither"),
        (lambda folder: changed(folder / "bundle.data-00001-of-00003", lambda c: c.__delitem__(slice(500_000, None))),
         r"data-00001-of-00003 is cut off: .* ends at byte"),
        (lambda folder: changed(folder / "bundle.data-00001-of-00003", lambda c: c.__setitem__(9, c[9] ^ 1)),
         r"data-00001-of-00003 is damaged: the checksum of"),
        (lambda folder: changed(folder / "bundle.index", lambda c: c.__setitem__(50, c[50] ^ 1)),
         "checksum of the block"),
        (lambda folder: changed(folder / "bundle.index", lambda c: c.__delitem__(slice(9000, None))), "cut off"),
        (lambda folder: (folder / "bundle.index").write_bytes(b""), "cut off"),
    ],
)  # fmt: skip
def test_damaged_and_missing_files(
    files: Path, damage: Callable[[Path], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(files)
    assert convert(files / "bundle", files / "out.ckpt") == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert not (files / "out.ckpt").exists()


def test_mistakes_are_explained(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(files / "whole.npz", **{"feature_extractor/conv1_1/biases": np.arange(4)})
    (files / "text.npz").write_text("not a zip")
    with (files / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    for arguments, message in (
        ((files / "bundle", files / "out.ckpt", "dwarf"), "--model ddflow"),
        ((files, files / "out.ckpt", "ddflow"), "is a folder"),
        ((files / "no_such_prefix", files / "out.ckpt", "ddflow"), "this folder has bundle, compressed"),
        ((files / "whole.npz", files / "out.ckpt", "ddflow"), "not floating point"),
        ((files / "array.npz", files / "out.ckpt", "ddflow"), "one array without a name"),
        ((files / "text.npz", files / "out.ckpt", "ddflow"), "damaged or not an .npz"),
        ((files / "bundle", files / "out.pt", "ddflow"), "must end with .ckpt"),
        ((files / "bundle", files / "gone" / "out.ckpt", "ddflow"), "does not exist"),
        ((GOLDEN / "make.py", files / "out.ckpt", "ddflow"), "not a checkpoint of TensorFlow"),
    ):
        checkpoint, output, model = arguments
        assert convert(checkpoint, output, model=model) == 2
        error = capsys.readouterr().err
        assert message in error, error
        assert "Traceback" not in error
    assert convert(files / "bundle", files / "out.ckpt") == 0
    assert convert(files / "bundle", files / "out.ckpt") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert convert(files / "bundle", files / "out.ckpt", "--overwrite") == 0


def everything(_: str) -> bool:
    return True


def weights_only(name: str) -> bool:
    return not name.rpartition("/")[2].startswith(("Adam", "beta", "global"))


@pytest.mark.parametrize("name", ["bundle.index", "compressed.index", "old_format"])
def test_changed_bytes_never_give_other_numbers(files: Path, name: str) -> None:
    """Every flipped or cut byte is noticed, or is in a part that carries no values."""
    original = (files / name).read_bytes()
    whole = tensor_bundle.read_checkpoint(files / name, weights_only).values
    generator = np.random.RandomState(5)
    noticed = 0
    tries = 60
    for number in range(tries):
        content = bytearray(original)
        if number % 4 == 3:
            del content[generator.randint(len(content)) :]
        else:
            content[generator.randint(len(content))] ^= 1 << generator.randint(8)
        (files / name).write_bytes(bytes(content))
        try:
            found = tensor_bundle.read_checkpoint(files / name, weights_only).values
        except UserError:
            noticed += 1
        else:
            assert set(found) == set(whole)
            assert all(np.array_equal(found[each], whole[each]) for each in whole)
    assert noticed > 0.8 * tries


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_but_a_clear_error_comes_of_any_content(data: Any) -> None:
    """With checksums switched off, so that the parsers meet what they do not expect."""
    name = data.draw(st.sampled_from(["bundle.index", "compressed.index", "old_format"]))
    content = bytearray((GOLDEN / name).read_bytes())
    last = min(len(content), 12_000)  # the values of the older file are not parsed
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, last - 1))] = data.draw(st.integers(0, 255))
    with (
        mock.patch.object(table, "unmasked", side_effect=lambda _: 0),
        mock.patch.object(table, "crc32c", return_value=0),
    ):
        try:
            for key, message in table.entries(memoryview(bytes(content))):
                if name == "old_format":
                    for number, field in wire.fields(message):
                        if number == 1:
                            dict(tensor_bundle._shapes_of(wire.as_bytes(field)))
                        elif number == 2:
                            tensor_bundle._saved_slice(wire.as_bytes(field), everything, {})
                elif key:
                    tensor_bundle._entry(message)
                else:
                    tensor_bundle._shards(message)
        except (wire.DamagedError, UserError):
            pass


def test_a_variable_without_a_value_is_damage(files: Path) -> None:
    found = tensor_bundle._saved_slice

    def lost(message: Any, *rest: Any) -> Any:
        name, array = found(message, *rest)
        return name, None if name == "feature_extractor/conv1_1/weights" else array

    with (
        mock.patch.object(tensor_bundle, "_saved_slice", lost),
        pytest.raises(UserError, match="conv1_1/weights has a shape but no value"),
    ):
        tensor_bundle.read_checkpoint(files / "old_format", weights_only)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_not_decompressed_without_limit(content: bytes) -> None:
    try:
        found = wire.decompress_snappy(memoryview(content))
    except wire.DamagedError:
        return
    assert len(found) <= 64 * len(content)


def test_checksums() -> None:
    """The vectors of RFC 3720, B.4, and every length around the number of pieces against the definition bit by bit."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E

    def bitwise(content: bytes) -> int:
        state = 0xFFFFFFFF
        for octet in content:
            state ^= octet
            for _ in range(8):
                state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
        return state ^ 0xFFFFFFFF

    generator = np.random.RandomState(0)
    for length in (0, 1, 4095, 4096, 4097, 8192, 20_000):
        content = generator.bytes(length)
        assert crc32c(content) == bitwise(content)
    assert all(unmasked(masked(number)) == number for number in (0, 1, 0xFFFFFFFF, 0x12345678))
