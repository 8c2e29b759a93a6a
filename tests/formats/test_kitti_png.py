"""KITTI's 16-bit PNG against hand-made files, a slow decoder and sums from the official tool's data."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from handmade_files import GREY, GREY_ALPHA, RGB, RGB_ALPHA, decode_png, png
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flowdistill.formats import (
    FormatError,
    read_kitti_disparity,
    read_kitti_flow,
    read_object_map,
    write_kitti_disparity,
    write_kitti_flow,
)

DEVKIT = Path(__file__).parents[1] / "golden" / "kitti_devkit"
NAN, INF = math.nan, math.inf


def test_reads_a_hand_made_flow(tmp_path: Path) -> None:
    codes = np.array(
        [[[32768, 32768, 1], [32768 + 64, 32768 - 32, 1]], [[0, 65535, 7], [40000, 1, 0]]], np.uint16
    )
    (tmp_path / "a.png").write_bytes(png(codes, RGB))
    flow, valid = read_kitti_flow(tmp_path / "a.png")
    assert (flow.dtype, valid.dtype) == (np.float32, np.bool_)
    np.testing.assert_array_equal(flow, [[[0, 0], [1, -0.5]], [[-512, 32767 / 64], [0, 0]]])
    np.testing.assert_array_equal(valid, [[True, True], [True, False]])


def test_reads_a_hand_made_disparity(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(np.array([[0, 1, 256], [640, 65535, 0]], np.uint16), GREY))
    disparity, valid = read_kitti_disparity(tmp_path / "a.png")
    assert (disparity.dtype, valid.dtype) == (np.float32, np.bool_)
    np.testing.assert_array_equal(disparity[..., 0], [[0, 1 / 256, 1], [2.5, 65535 / 256, 0]])
    np.testing.assert_array_equal(valid, [[False, True, True], [True, True, False]])


def test_invalid_flow_is_a_positive_zero(tmp_path: Path) -> None:
    """For any stored value; -0 would reverse the direction of the vector."""
    codes = np.array([[[0, 0, 0], [100, 65535, 0], [65535, 100, 0], [32768, 32768, 1]]], np.uint16)
    (tmp_path / "a.png").write_bytes(png(codes, RGB))
    flow, _ = read_kitti_flow(tmp_path / "a.png")
    assert (flow == 0).all()
    assert not np.signbit(flow).any()


@pytest.mark.parametrize("kind", ["gt/flow_occ", "pred/flow"])
def test_reads_flow_as_the_slow_decoder(kind: str) -> None:
    path = DEVKIT / kind / "000001_10.png"
    codes = decode_png(path.read_bytes())
    flow, valid = read_kitti_flow(path)
    np.testing.assert_array_equal(valid, codes[..., 2] != 0)
    np.testing.assert_array_equal(flow, np.where(valid[..., None], (codes[..., :2] - 32768) / 64, 0))


@pytest.mark.parametrize("kind", ["gt/disp_noc_1", "pred/disp_1"])
def test_reads_disparity_as_the_slow_decoder(kind: str) -> None:
    path = DEVKIT / kind / "000001_10.png"
    codes = decode_png(path.read_bytes())
    disparity, valid = read_kitti_disparity(path)
    np.testing.assert_array_equal(valid, codes[..., 0] != 0)
    np.testing.assert_array_equal(disparity, codes / 256)


def test_dense_predictions_have_the_official_sums() -> None:
    stated = json.loads((DEVKIT / "expected.json").read_text())["interpolation"]["000001_10"]
    disparity, valid_disparity = read_kitti_disparity(DEVKIT / "pred/disp_0/000001_10.png")
    flow, valid_flow = read_kitti_flow(DEVKIT / "pred/flow/000001_10.png")
    assert valid_disparity.all()
    assert valid_flow.all()
    assert (disparity.astype(np.float64) * 256).sum() == stated["disp_0"]["code_sum"]
    sums = (flow.astype(np.float64) * 64).sum(axis=(0, 1))
    assert sums.tolist() == [stated["flow"]["u_code_sum"], stated["flow"]["v_code_sum"]]


def test_reads_an_object_map(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 254], [255, 3, 0]], np.uint8)
    (tmp_path / "a.png").write_bytes(png(ids, GREY))
    assert read_object_map(tmp_path / "a.png").dtype == np.uint8
    np.testing.assert_array_equal(read_object_map(tmp_path / "a.png"), ids)
    devkit_ids = {*np.unique(read_object_map(DEVKIT / "gt/obj_map/000000_10.png")).tolist()}
    assert devkit_ids == {0, 1, 3, 255}


@pytest.mark.parametrize(
    ("flow", "codes"),
    [
        ((0.0, 0.0), (32768, 32768, 1)),
        ((1.0, -1.0), (32832, 32704, 1)),
        ((-512.0, 511.984375), (0, 65535, 1)),
        ((511.999, -511.999), (65535, 0, 1)),  # rounds to 65536: must not wrap to 0
        ((512.0, 0.0), (0, 0, 0)),
        ((0.0, -512.01), (0, 0, 0)),
        ((NAN, 0.0), (0, 0, 0)),
        ((0.0, INF), (0, 0, 0)),
        ((-INF, NAN), (0, 0, 0)),
        ((3.4e38, 0.0), (0, 0, 0)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_writes_these_flow_codes(
    tmp_path: Path, flow: tuple[float, float], codes: tuple[int, int, int], dtype: type
) -> None:
    write_kitti_flow(tmp_path / "a.png", np.array([[flow]], dtype=dtype))
    assert decode_png((tmp_path / "a.png").read_bytes())[0, 0].tolist() == list(codes)


@pytest.mark.parametrize(
    ("disparity", "code"),
    [
        (1.0, 256),
        (0.0, 1),
        (0.0001, 1),
        (1 / 256, 1),
        (255.998, 65535),
        (255.9999, 65535),  # rounds to 65536: must not wrap to 0
        (256.0, 0),
        (-0.01, 0),
        (NAN, 0),
        (INF, 0),
        (-INF, 0),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_writes_these_disparity_codes(tmp_path: Path, disparity: float, code: int, dtype: type) -> None:
    write_kitti_disparity(tmp_path / "a.png", np.array([[disparity]], dtype=dtype))
    assert decode_png((tmp_path / "a.png").read_bytes()).tolist() == [[[code]]]


@pytest.mark.parametrize(("dtype", "value"), [(np.float16, 200.125), (np.uint8, 200), (np.int64, 200)])
def test_small_types_do_not_overflow(tmp_path: Path, dtype: type, value: float) -> None:
    """200.125 + 512 needs more bits than half precision has, and 200 * 256 more than uint8."""
    write_kitti_flow(tmp_path / "f.png", np.full((1, 1, 2), value, dtype))
    write_kitti_disparity(tmp_path / "d.png", np.full((1, 1), value, dtype))
    assert read_kitti_flow(tmp_path / "f.png")[0].tolist() == [[[value, value]]]
    assert read_kitti_disparity(tmp_path / "d.png")[0].tolist() == [[[value]]]


def test_the_mask_wins(tmp_path: Path) -> None:
    valid = np.array([[True, False]])
    write_kitti_flow(tmp_path / "f.png", np.full((1, 2, 2), 5.0), valid)
    write_kitti_disparity(tmp_path / "d.png", np.full((1, 2, 1), 5.0), valid)
    assert decode_png((tmp_path / "f.png").read_bytes()).tolist() == [[[33088, 33088, 1], [0, 0, 0]]]
    assert decode_png((tmp_path / "d.png").read_bytes()).tolist() == [[[1280], [0]]]


any_float = (
    st.floats(width=32) | st.floats(-600, 600, width=32) | st.sampled_from([512, 511.99, 256, 255.999, -512])
)


@settings(deadline=None)  # other work may hold the processor
@given(data=st.data(), height=st.integers(1, 6), width=st.integers(1, 6))
def test_a_flow_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, height: int, width: int
) -> None:
    flow = data.draw(npst.arrays(np.float32, (height, width, 2), elements=any_float.map(np.float32)))
    given_valid = data.draw(npst.arrays(np.bool_, (height, width)))
    path = tmp_path_factory.mktemp("kitti") / "a.png"
    write_kitti_flow(path, flow, given_valid)
    values, valid = read_kitti_flow(path)
    for row in range(height):
        for column in range(width):
            x, y = (float(part) for part in flow[row, column])
            assert valid[row, column] == (given_valid[row, column] and -512 <= x < 512 and -512 <= y < 512)
            # Half a code, but a whole one under the top end, where rounding up is not possible.
            expected = np.minimum([x, y], 65535 / 64 - 512) if valid[row, column] else np.zeros(2)
            assert np.abs(values[row, column] - expected).max() <= 1 / 128


@settings(deadline=None)  # other work may hold the processor
@given(data=st.data(), height=st.integers(1, 6), width=st.integers(1, 6))
def test_a_disparity_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, height: int, width: int
) -> None:
    disparity = data.draw(npst.arrays(np.float32, (height, width, 1), elements=any_float.map(np.float32)))
    given_valid = data.draw(npst.arrays(np.bool_, (height, width)))
    path = tmp_path_factory.mktemp("kitti") / "a.png"
    write_kitti_disparity(path, disparity, given_valid)
    values, valid = read_kitti_disparity(path)
    for row in range(height):
        for column in range(width):
            d = float(disparity[row, column, 0])
            assert valid[row, column] == (given_valid[row, column] and 0 <= d < 256)
            expected = min(max(d, 1 / 256), 65535 / 256) if valid[row, column] else 0
            assert abs(values[row, column, 0] - expected) <= 1 / 512


@settings(deadline=None)  # other work may hold the processor
@given(codes=npst.arrays(np.uint16, (4, 5)))
def test_every_disparity_code_comes_back(tmp_path_factory: pytest.TempPathFactory, codes: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("kitti")
    (folder / "a.png").write_bytes(png(codes, GREY))
    write_kitti_disparity(folder / "b.png", *read_kitti_disparity(folder / "a.png"))
    np.testing.assert_array_equal(decode_png((folder / "b.png").read_bytes())[..., 0], codes)


EIGHT, SIXTEEN = np.uint8, np.uint16
REFUSED = [
    (read_kitti_flow, png(np.ones((2, 3, 3), EIGHT), RGB), "16-bit RGB", "8-bit RGB"),
    (read_kitti_flow, png(np.ones((2, 3), SIXTEEN), GREY), "16-bit RGB", "16-bit grey"),
    (read_kitti_flow, png(np.ones((2, 3, 4), SIXTEEN), RGB_ALPHA), "16-bit RGB", "16-bit RGB + alpha"),
    (read_kitti_disparity, png(np.ones((2, 3), EIGHT), GREY), "16-bit grey", "8-bit grey"),
    (read_kitti_disparity, png(np.ones((2, 3, 3), SIXTEEN), RGB), "16-bit grey", "16-bit RGB"),
    (
        read_kitti_disparity,
        png(np.ones((2, 3, 2), SIXTEEN), GREY_ALPHA),
        "16-bit grey",
        "16-bit grey + alpha",
    ),
    (read_object_map, png(np.ones((2, 3), SIXTEEN), GREY), "8-bit grey", "16-bit grey"),
    (read_object_map, png(np.ones((2, 3, 3), EIGHT), RGB), "8-bit grey", "8-bit RGB"),
]


@pytest.mark.parametrize(("read", "content", "expected", "found"), REFUSED)
def test_other_depths_and_channels_are_refused(
    tmp_path: Path, read, content, expected: str, found: str
) -> None:
    path = tmp_path / "other.png"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read(path)
    before, after = str(caught.value).split(", found ")
    assert before.startswith(f"{path}: expected ")
    assert expected in before
    assert after.startswith(f"{found}, 2 x 3")


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (0, 5, 2), (1, 4, 5, 2)])
def test_other_flow_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"flow must have|sides must be"):
        write_kitti_flow(tmp_path / "a.png", np.zeros(shape))


@pytest.mark.parametrize("shape", [(4,), (4, 5, 2), (4, 0), (1, 4, 5, 1)])
def test_other_disparity_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"disparity must have|sides must be"):
        write_kitti_disparity(tmp_path / "a.png", np.zeros(shape))


@pytest.mark.parametrize("shape", [(5, 4), (4, 5, 1), (4,)])
def test_a_mask_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="valid must have the shape"):
        write_kitti_flow(tmp_path / "a.png", np.zeros((4, 5, 2)), np.ones(shape, bool))
    with pytest.raises(ValueError, match="valid must have the shape"):
        write_kitti_disparity(tmp_path / "a.png", np.zeros((4, 5, 1)), np.ones(shape, bool))
    assert list(tmp_path.iterdir()) == []
