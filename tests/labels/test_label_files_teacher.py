"""Precomputed predictions in files of every format, as labels."""

from pathlib import Path

import numpy as np
import pytest
from label_teachers import SIZE, frames, sample

from flowdistill.errors import UserError
from flowdistill.formats import FormatError, write_flo, write_kitti_disparity, write_kitti_flow, write_pfm
from flowdistill.labels.config import FilesPart
from flowdistill.labels.files_teacher import FilesTeacher


def test_every_format_is_read_with_its_own_sign_and_precision(tmp_path: Path) -> None:
    frame = frames()[0]
    unknown = frame.flow.copy()
    unknown[3, 4] = np.nan
    unknown[5, 6] = 1e10
    write_flo(tmp_path / "000002_00.flo", unknown)
    write_pfm(tmp_path / "back_000002_00.pfm", np.pad(frame.flow_backward, ((0, 0), (0, 0), (0, 1))))
    write_pfm(tmp_path / "left_000002_00.pfm", -frame.disparity_t0)
    write_kitti_disparity(tmp_path / "000002_00.png", frame.disparity_t1)
    part = FilesPart(
        str(tmp_path),
        sign="negative",
        flow="{id}.flo",
        flow_backward="back_{id}.pfm",
        disparity_t0="{camera}_{id}.pfm",
        disparity_t1="{id}.png",
    )
    found = FilesTeacher(part)(sample())
    assert set(found) == {"flow", "flow_backward", "disparity_t0", "disparity_t1"}
    known = found["flow"].known
    assert not known[3, 4]
    assert not known[5, 6]
    assert known.sum() == known.size - 2
    assert np.array_equal(found["flow"].values[known], frame.flow[known])
    assert not found["flow"].values[~known].any()
    assert np.array_equal(found["flow_backward"].values, frame.flow_backward)
    assert np.array_equal(found["disparity_t0"].values, frame.disparity_t0)
    assert np.abs(found["disparity_t1"].values - frame.disparity_t1).max() <= 1 / 512


def test_16_bit_flow_and_its_holes(tmp_path: Path) -> None:
    valid = np.ones(SIZE, bool)
    valid[10:20] = False
    write_kitti_flow(tmp_path / "000002_00.png", frames()[0].flow, valid)
    found = FilesTeacher(FilesPart(str(tmp_path), flow="{id}.png"))(sample())["flow"]
    assert np.array_equal(found.known, valid)
    assert np.abs(found.values - frames()[0].flow)[valid].max() <= 1 / 128


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"files\.folder: there is no folder"):
        FilesTeacher(FilesPart(str(tmp_path / "none"), flow="{id}.flo"))
    teacher = FilesTeacher(FilesPart(str(tmp_path), flow="{id}.flo"))
    with pytest.raises(FormatError, match=r"000002_00\.flo.*no such file"):
        teacher(sample())
    write_flo(tmp_path / "000002_00.flo", np.full((*SIZE, 2), 5000, np.float32))
    with pytest.raises(UserError, match=r"000002_00\.flo: most of its values exceed 4 image widths"):
        teacher(sample())
    write_pfm(tmp_path / "000002_00.pfm", -frames()[0].disparity_t0)
    stereo = FilesTeacher(FilesPart(str(tmp_path), disparity_t0="{id}.pfm"))
    with pytest.raises(
        UserError, match=r"disparities have the wrong sign. Set files.sign, which is positive"
    ):
        stereo(sample())
    write_pfm(tmp_path / "000002_00.pfm", np.zeros((*SIZE, 3), np.float32))
    with pytest.raises(FormatError, match="a PFM of 1 channel"):
        stereo(sample())
