"""`flowdistill labels make` on rendered data: files, reading back, resuming, errors, report."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from flowdistill.cli.flowdistill import main
from flowdistill.data import KittiDataset, SplitEntry
from flowdistill.formats import read_kitti_disparity, read_kitti_flow, read_mask
from flowdistill.labels.combine import make_labels
from flowdistill.labels.config_file import read_config
from flowdistill.labels.opencv_teacher import OpenCVTeacher

CONFIG = Path(__file__).parents[2] / "configs" / "labels" / "opencv.yaml"
FOLDERS = {"disp_0", "disp_1", "flow", "flow_backward", "occlusion", "occlusion_backward"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes, four pairs of 96x192, labelled as `proxy`."""
    root = tmp_path_factory.mktemp("labels") / "data"
    arguments = ["--scenes", "2", "--frames", "3", "--size", "96x192", "--seed", "5"]
    assert main(["data", "render", "--output", str(root), *arguments]) == 0
    (root / "split.txt").write_text(
        "".join(f"00000{scene}_0{frame}\n" for scene in (0, 1) for frame in (0, 1))
    )
    settings = yaml.safe_load(CONFIG.read_text())
    settings["teachers"]["matcher"]["opencv"]["max_disparity"] = 64
    settings["confidence"]["disparity"]["uniqueness"]["max_disparity"] = 64
    (root / "small.yaml").write_text(yaml.safe_dump(settings))
    assert make(root, "proxy") == 0
    return root


def make(root: Path, output: str, *more: str, config: Path | None = None, split: str | None = None) -> int:
    where = ["--config", str(config or root / "small.yaml"), "--root", str(root)]
    chosen = ["--split", split or str(root / "split.txt")]
    return main(["labels", "make", *where, *chosen, "--output", output, *more])


def labels_of(root: Path, folder: str) -> dict[str, bytes]:
    files = sorted((root / folder).rglob("*.png"))
    return {
        str(path.relative_to(root / folder)): path.read_bytes() for path in files if path.name != "report.png"
    }


def test_every_label_of_every_sample_is_there(data: Path) -> None:
    expected = {
        f"left/{name}/00000{scene}_0{frame}.png" for name in FOLDERS for scene in (0, 1) for frame in (0, 1)
    }
    assert set(labels_of(data, "proxy")) == expected


def test_a_student_reads_what_was_made(data: Path) -> None:
    """Labels read by the dataset match the computed arrays to half a 16-bit step; rejected pixels are not valid."""
    entry = SplitEntry("000001_00", labels="proxy")
    config = read_config([data / "small.yaml"])
    part = config.teachers["matcher"].opencv
    assert part is not None
    student = KittiDataset(data, [entry], "scene_flow", labels=True)[0]
    made = make_labels(student, {"matcher": OpenCVTeacher(part)}, config)
    read: dict[str, Any] = dict(student)
    for key, step in (("flow", 1 / 64), ("disparity_t0", 1 / 256), ("disparity_t1", 1 / 256)):
        label, valid = made.motions[key], read[f"valid_{key}"][0].numpy()
        assert np.array_equal(valid, label.keep)
        assert 0.3 < valid.mean() < 0.95
        difference = np.abs(read[key].numpy().transpose(1, 2, 0) - label.values)
        assert difference[valid].max() <= step / 2 + 1e-5
    teacher: dict[str, Any] = dict(KittiDataset(data, [entry], "flow", labels=False)[0])
    for key, occlusion in (("flow", "occluded"), ("flow_backward", "occluded_backward")):
        expected = made.occluded[occlusion] | ~made.motions[key].keep
        assert np.array_equal(teacher[f"teacher_{occlusion}"][0].numpy(), expected)


def test_the_filter_lowers_the_error_of_all_three_motions(data: Path) -> None:
    """Against the renderer's ground truth, with only the file readers."""
    report = json.loads((data / "proxy" / "report.json").read_text())
    assert report["samples"] == 4
    for key, made, true, read in (
        ("flow", "flow", "flow_occ", read_kitti_flow),
        ("disparity_t0", "disp_0", "disp_occ_0", read_kitti_disparity),
        ("disparity_t1", "disp_1", "disp_occ_1", read_kitti_disparity),
    ):
        found = report["motions"][key]
        assert found["outliers"] < 0.5 * found["outliers_before"]
        assert found["end_point_error"] < 0.6 * found["end_point_error_before"]
        assert found["kept_of_compared"] > 0.5
        errors, valid_pixels, pixels = [], 0, 0
        for path in sorted((data / "proxy" / "left" / made).glob("*.png")):
            values, valid = read(path)
            truth, known = read(data / "training" / true / path.name)
            errors.append(np.linalg.norm(values - truth, axis=2)[valid & known])
            valid_pixels, pixels = valid_pixels + int(valid.sum()), pixels + valid.size
        assert valid_pixels / pixels == pytest.approx(found["density"], abs=1e-9)
        assert np.concatenate(errors).mean() == pytest.approx(found["end_point_error"], abs=5e-3)
        shares = [point["share"] for point in found["curve"]]
        assert shares == sorted(shares, reverse=True)
        assert found["curve"][-1]["outliers"] < found["curve"][0]["outliers"]
    assert (data / "proxy" / "report.png").read_bytes().startswith(b"\x89PNG")


def test_occlusion_labels_find_the_rendered_occlusion(data: Path) -> None:
    """More than 40 % of the occluded pixels: DIS interpolates small occlusions, where flows are consistent."""
    hidden, seen = [], []
    for path in (data / "proxy" / "left" / "occlusion").glob("*.png"):
        _, noc = read_kitti_flow(data / "training" / "flow_noc" / path.name)
        found = read_mask(path)
        hidden.append(found[~noc])
        seen.append(found[noc])
    assert np.concatenate(hidden).mean() > 0.4
    assert np.concatenate(seen).mean() < 0.1


def test_several_processes_write_the_same_files(data: Path) -> None:
    assert make(data, "twice", "--workers", "2") == 0
    assert labels_of(data, "twice") == labels_of(data, "proxy")


def test_a_second_run_makes_what_is_missing_and_nothing_else(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = labels_of(data, "proxy")
    times = {path: path.stat().st_mtime_ns for path in (data / "proxy").rglob("0*.png")}
    lost = data / "proxy" / "left" / "disp_1" / "000001_00.png"
    lost.unlink()
    (data / "proxy" / "left" / "counts" / "000000_01.json").write_text('{"flow": {"pix')
    assert make(data, "proxy") == 0
    assert "2 of 4 samples are labelled already" in capsys.readouterr().out
    assert labels_of(data, "proxy") == before
    changed = {path.stem for path, time in times.items() if path.exists() and path.stat().st_mtime_ns != time}
    assert changed == {"000001_00", "000000_01"}


def test_a_killed_run_leaves_whole_files_and_goes_on(data: Path) -> None:
    """SIGKILL once labels appear: existing files are complete, and the next run gives those of an uninterrupted one."""
    arguments = ["labels", "make", "--config", str(data / "small.yaml"), "--root", str(data)]
    arguments += ["--split", str(data / "split.txt"), "--output", "killed"]
    process = subprocess.Popen(
        [sys.executable, "-m", "flowdistill.cli.flowdistill", *arguments], stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not labels_of(data, "killed"):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    found = labels_of(data, "killed")
    assert 0 < len(found) < len(labels_of(data, "proxy"))
    assert found.items() <= labels_of(data, "proxy").items()
    assert main(arguments) == 0
    assert labels_of(data, "killed") == labels_of(data, "proxy")


def test_other_settings_are_refused_by_name(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = data / "other.yaml"
    other.write_text((data / "small.yaml").read_text().replace("absolute: 0.7", "absolute: 0.9"))
    before = labels_of(data, "proxy")
    assert make(data, "proxy", config=other) == 2
    message = capsys.readouterr().err
    assert "confidence.flow.consistency.absolute is 0.9, was 0.7" in message
    assert "--output" in message
    assert labels_of(data, "proxy") == before


def test_a_folder_of_somebody_else_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(data, "training") == 2
    assert "has files but no labels.yaml" in capsys.readouterr().err
    for name in ("../out", "/out", "a b"):
        assert make(data, name) == 2
        assert "--output is" in capsys.readouterr().err


def test_flow_of_the_right_camera_alone(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One camera is enough for flow; the report marks missing ground truth."""
    settings = yaml.safe_load((data / "small.yaml").read_text())
    settings |= {"view": "flow", "motions": {"flow": ["matcher"]}}
    (data / "flow.yaml").write_text(yaml.safe_dump(settings))
    (data / "right.txt").write_text("000000_00 camera=right labels=elsewhere\n000000_00\n")
    assert make(data, "teacher", config=data / "flow.yaml", split=str(data / "right.txt")) == 0
    assert "the split reads labels=elsewhere; these are written to teacher" in capsys.readouterr().out
    assert {path.split("/")[1] for path in labels_of(data, "teacher")} == FOLDERS - {"disp_0", "disp_1"}
    report = json.loads((data / "teacher" / "report.json").read_text())["motions"]["flow"]
    assert report["pixels_with_truth"] == 96 * 192  # the left sample's
    sample = KittiDataset(data, [SplitEntry("000000_00", "right", "teacher")], "flow", labels=False)[0]
    assert 0.3 < (~sample["teacher_occluded"]).float().mean() < 0.95
