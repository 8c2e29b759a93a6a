"""Motions in .npz: numpy's own files read and written, third-party arrays, damage."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade_files import overwritten
from mutations import general

from flowdistill.formats import FormatError
from flowdistill.formats.motion import NoMotionError, inspect_motion, read_motion
from flowdistill.formats.npz import read_npz, write_npz

RNG = np.random.default_rng(0)
FLOW = RNG.normal(size=(5, 6, 2)).astype(np.float32)
VALID = RNG.random((5, 6)) < 0.6


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_what_numpy_writes(tmp_path: Path, save: Any, dtype: str, order: str) -> None:
    values = np.asarray(FLOW.astype(dtype), order=order)  # type: ignore[call-overload]
    save(tmp_path / "a.npz", flow=values, valid=np.asarray(VALID, order=order), name=np.array("x"))  # type: ignore[call-overload]
    stored, valid = read_npz(tmp_path / "a.npz", "flow")
    np.testing.assert_array_equal(stored, values)
    assert stored.dtype == (np.float64 if "8" in dtype else np.float32)
    np.testing.assert_array_equal(valid, VALID)


def test_numpy_reads_what_is_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_npz(tmp_path / f"{name}.npz", "flow", FLOW, VALID)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    write_npz(tmp_path / "d.npz", "disparity", FLOW[..., :1], VALID)
    for path, key, wanted in (("a.npz", "flow", FLOW), ("d.npz", "disparity", FLOW[..., 0])):
        with np.load(tmp_path / path) as arrays:
            assert sorted(arrays) == sorted([key, "valid"])
            assert (arrays[key].dtype, arrays["valid"].dtype) == (np.float32, np.bool_)
            np.testing.assert_array_equal(arrays["valid"], VALID)
            np.testing.assert_array_equal(arrays[key][VALID], wanted[VALID])
            assert not arrays[key][~VALID].any()


def test_without_a_mask_every_number_is_valid(tmp_path: Path) -> None:
    values = FLOW[..., 0].copy()
    values[0, :3] = np.nan, np.inf, 2e9
    np.savez(tmp_path / "a.npz", disparity=values)
    motion = read_motion(tmp_path / "a.npz")
    assert motion.quantity == "disparity"
    assert np.flatnonzero(~motion.valid).tolist() == [0, 1, 2]
    np.savez(tmp_path / "b.npz", disparity=values, valid=np.full((5, 6), 255, np.uint8))
    again = read_motion(tmp_path / "b.npz")
    np.testing.assert_array_equal(again.valid, motion.valid)
    assert list(again.passed_over.values()) == [3]


def test_both_quantities_in_one_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", flow=FLOW, disparity=FLOW[..., 0])
    with pytest.raises(FormatError, match="found both; choose one with --quantity"):
        inspect_motion(tmp_path / "a.npz")
    assert read_motion(tmp_path / "a.npz", "flow").values.shape == (5, 6, 2)
    assert read_motion(tmp_path / "a.npz", "disparity").values.shape == (5, 6, 1)


def test_other_peoples_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", u=FLOW[..., 0], v=FLOW[..., 1])
    with pytest.raises(NoMotionError, match="found the arrays u, v"):
        read_motion(tmp_path / "a.npz")
    with pytest.raises(FormatError, match="an array `flow`, found the arrays u, v"):
        read_npz(tmp_path / "a.npz", "flow")
    np.savez(tmp_path / "b.npz")
    with pytest.raises(NoMotionError, match="found no array"):
        read_motion(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", FLOW)
    (tmp_path / "c.npy").rename(tmp_path / "c.npz")
    with pytest.raises(FormatError, match=r"a single array \(\.npy\)"):
        read_motion(tmp_path / "c.npz")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "channels first": ({"flow": FLOW.transpose(2, 0, 1)}, r"shape \(H, W, 2\), found \(2, 5, 6\)"),
    "a batch": ({"flow": FLOW[None]}, r"found \(1, 5, 6, 2\)"),
    "a disparity of three axes": ({"disparity": FLOW[..., :1]}, r"shape \(H, W\), found \(5, 6, 1\)"),
    "codes": ({"flow": np.zeros((5, 6, 2), np.uint16)}, "floating-point numbers in pixels, found uint16"),
    "an empty array": ({"disparity": np.zeros((0, 6))}, "a height of 0"),
    "a small mask": ({"flow": FLOW, "valid": VALID[1:]}, r"`valid` of the shape \(5, 6\), bool, found bool"),
    "a mask of floats": ({"flow": FLOW, "valid": VALID.astype(np.float32)}, "found float32"),
    "objects": ({"disparity": np.array([[None]])}, "a plain array of numbers"),
    "words": ({"disparity": np.array([["a"]])}, "`disparity`"),
    "complex numbers": ({"disparity": np.zeros((2, 2), complex)}, "a complete array of numbers"),
    "records": ({"disparity": np.zeros((2, 2), [("x", "f4")])}, "a plain array of numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arrays_of_another_form(tmp_path: Path, name: str) -> None:
    arrays, words = WRONG[name]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FormatError, match=words):
        read_motion(tmp_path / "a.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_archives(tmp_path: Path, method: int) -> None:
    """An error, or the written values: the archive's checksums detect damage."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, array in (("flow", FLOW), ("valid", VALID)):
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array)
    refused = taken = 0
    with overwritten(tmp_path / "a.npz") as replace:
        for mutated in general(content.getvalue(), 3, changes=400):
            replace(mutated)
            try:
                motion = read_motion(tmp_path / "a.npz")
            except FormatError:
                refused += 1
                continue
            taken += 1
            # The name `valid` may have been damaged; then the array is no longer a mask.
            assert (motion.values[VALID] == FLOW[VALID]).all()
            assert (motion.valid == VALID).all() or motion.valid.all()
    assert refused > 500
    assert taken > 10


def test_absurd_sizes_and_methods_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"

    def refuse(words: str) -> None:
        with pytest.raises(FormatError, match=words):
            read_npz(path, "flow")

    npy = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        npy, {"descr": "<f4", "fortran_order": False, "shape": (65536, 65536, 2)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("flow.npy", npy.getvalue() + bytes(80))
    refuse("found 80 bytes for float32 of the shape")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flow.npy", bytes(1 << 20))
    archived = bytearray(path.read_bytes())
    for size in range(len(archived) - 4):
        if archived[size : size + 4] == (1 << 20).to_bytes(4, "little"):
            archived[size : size + 4] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(archived)
    refuse("of a size that fits the file, found a size of 2147483648")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("flow.npy", npy.getvalue())
        refuse("stored or deflated")
