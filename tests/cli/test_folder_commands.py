"""A user's own frames through the commands: fit, predict, data check, data tree, labels make."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from flowdistill.cli.flowdistill import main as flowdistill
from flowdistill.cli.lightning import main as lightning
from flowdistill.data import open_dataset
from flowdistill.errors import UserError
from flowdistill.formats import read_kitti_flow, write_image
from flowdistill.render import render_scene

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "data"))
from own_frames import film, write_film, write_video  # noqa: E402

FOLDER, FRAMES = "configs/data/folder.yaml", "configs/data/frames.yaml"


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rendered film as jpg files, as a video, and in KITTI's folders, with one camera or two."""
    root = tmp_path_factory.mktemp("shots")
    frames = film(4, (64, 128))
    write_film(root / "jpg" / "My Walk", frames)
    write_video(root / "video" / "clip.mp4", frames)
    for number, frame in enumerate(render_scene(3, 0, 4, (64, 128))):
        for camera, picture in (("image_2", frame.left_t0), ("image_3", frame.right_t0)):
            place = root / "kitti" / "training" / camera
            place.mkdir(parents=True, exist_ok=True)
            write_image(place / f"000000_{number + 98:02d}.png", picture)
    return root


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def fit(config: str, root: Path, output: Path, *more: str) -> list[dict[str, str]]:
    """Run two steps and a validation; return the rows of the log."""
    options = {
        "data.init_args.root": root,
        "data.init_args.num_workers": 1,
        "data.init_args.batch_size": 2,
        "model.init_args.width": 0.125,
        "trainer.max_steps": 2,
        "trainer.val_check_interval": 2,
        "trainer.limit_val_batches": 2,
        "trainer.log_every_n_steps": 1,
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "trainer.logger.init_args.save_dir": output,
        "trainer.logger.init_args.name": "run",
    }
    configs = ("configs/demo/frames.yaml", config, "configs/trainer/cpu.yaml")
    files = [part for file in configs for part in ("--config", file)]
    words = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    assert lightning(["fit", *files, *words, *more]) == 0
    with (output / "run" / "version_0" / "metrics.csv").open() as log:
        return list(csv.DictReader(log))


def predict(config: str, root: Path, checkpoint: Path, output: Path) -> list[str]:
    """The written flow files."""
    configs = ("configs/demo/frames.yaml", config, "configs/trainer/cpu.yaml")
    files = [part for file in configs for part in ("--config", file)]
    words = [
        "--model.init_args.width",
        "0.125",
        "--data.init_args.root",
        str(root),
        "--data.init_args.num_workers",
        "0",
    ]
    words += ["--ckpt_path", str(checkpoint), "--prediction.output", str(output), "--trainer.logger", "false"]
    assert lightning(["predict", *files, *words, "--trainer.enable_progress_bar", "false"]) == 0
    return sorted(path.relative_to(output / "flow").as_posix() for path in (output / "flow").rglob("*.png"))


@pytest.mark.parametrize(
    ("kind", "config", "ids"),
    [
        ("jpg", FOLDER, [f"My%20Walk/frame_0000{number}" for number in (1, 2, 3)]),
        ("video", FOLDER, [f"clip.mp4/00000{number}" for number in (0, 1, 2)]),
        (
            "kitti",
            FRAMES,
            [f"training/image_{camera}/000000_{frame}" for camera in (2, 3) for frame in (98, 99)],
        ),
    ],
)
def test_fit_and_predict(kind: str, config: str, ids: list[str], shots: Path, tmp_path: Path) -> None:
    rows = fit(config, shots / kind, tmp_path)
    losses = [float(row["train/loss"]) for row in rows if row.get("train/loss")]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert any(row.get("val/census") for row in rows)
    written = predict(config, shots / kind, next(tmp_path.rglob("last.ckpt")), tmp_path / "out")
    assert written == [f"{id_}.png" for id_ in ids]
    flow, valid = read_kitti_flow(tmp_path / "out" / "flow" / written[0])
    assert flow.shape == (64, 128, 2)
    assert valid.all()


def check(
    capsys: pytest.CaptureFixture[str], root: Path, *more: str, config: str = FOLDER
) -> tuple[int, str]:
    code = flowdistill(["data", "check", "--config", config, "--root", str(root), "--workers", "1", *more])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.parametrize("config", [FOLDER, FRAMES])
def test_data_check(config: str, shots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("jpg", "video"):
        code, text = check(capsys, shots / kind, config=config)
        assert code == 0
        assert "4 files of 3 samples: no problems" in text
    write_film(tmp_path, film(4), ".png")
    broken = tmp_path / "frame_00002.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    report, exclude = tmp_path / "report.json", tmp_path / "bad.txt"
    code, text = check(capsys, tmp_path, "--json", str(report), "--exclude-to", str(exclude), config=config)
    assert code == 1
    assert "not part of any download. Replace or re-encode them" in text
    assert "http" not in text
    assert "kitti" not in text.lower()
    problems = json.loads(report.read_text())["problems"]
    assert [(problem["sample"], problem["file"]) for problem in problems] == [
        ("frame_00001", str(broken)),
        ("frame_00002", str(broken)),
    ]
    code, text = check(capsys, tmp_path, "--data.init_args.exclude", str(exclude), config=config)
    assert code == 0
    assert "2 files of 1 sample: no problems" in text


def test_options_from_the_command_line(shots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = check(capsys, shots / "jpg", "--data.init_args.options.stride", "2")
    assert code == 0
    assert "2 pairs in 1 sequence of 4 frames (stride 2)" in text
    code, text = check(capsys, shots / "jpg", "--data.init_args.options.stride", "none")
    assert code == 2
    assert "options.stride of folder must be a whole number of 1 or more, not 'none'" in text
    stereo = ["--data.init_args.options", "{left: image_2, right: image_3}"]
    code, text = check(capsys, shots / "kitti", *stereo, "--data.init_args.scene_flow.val_split", "scan")
    assert code == 0
    assert "6 files of 2 samples: no problems" in text


def test_data_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert flowdistill(["data", "tree", "folder"]) == 0
    text = capsys.readouterr().out
    assert "A user's own frames" in text
    assert "Download" not in text


@pytest.mark.parametrize("view", ["flow", "scene_flow"])
def test_labels_make(view: str, shots: Path, tmp_path: Path) -> None:
    """Labels are written inside the data folder, are not read as frames, and are read back by labels=."""
    root = tmp_path / "data"
    (root / "training").mkdir(parents=True)
    for camera in ("image_2", "image_3"):
        (root / "training" / camera).symlink_to(shots / "kitti" / "training" / camera)
    settings = yaml.safe_load((ROOT / "configs/labels/opencv.yaml").read_text())
    settings |= {"dataset": "folder", "view": view, "options": {"left": "image_2", "right": "image_3"}}
    settings["teachers"]["matcher"]["opencv"]["max_disparity"] = 64
    settings["confidence"]["disparity"]["uniqueness"]["max_disparity"] = 64
    if view == "flow":
        settings["motions"]["disparity"] = []
        del settings["confidence"]["disparity"]
    config = tmp_path / "labels.yaml"
    config.write_text(yaml.safe_dump(settings))
    command = [
        "labels",
        "make",
        "--config",
        str(config),
        "--root",
        str(root),
        "--split",
        "scan",
        "--output",
        "proxy",
    ]
    assert flowdistill([*command, "--workers", "1"]) == 0
    split = tmp_path / "split.txt"
    split.write_text("training/image_2/000000_98 labels=proxy\ntraining/image_2/000000_99 labels=proxy\n")
    options: dict[str, str | int] = {"left": "image_2", "right": "image_3"}
    if view == "flow":
        data = open_dataset("folder", str(root), str(split), "flow", False, options)
        assert "teacher_flow" in data[1]
    else:
        data = open_dataset("folder", str(root), str(split), "scene_flow", True, options)
        assert {"flow", "disparity_t0", "disparity_t1"} <= set(data[1])
        with pytest.raises(UserError, match="a folder of frames has no ground truth"):
            open_dataset("folder", str(root), "scan", "scene_flow", True, options)
    assert len(open_dataset("folder", str(root), "scan", "flow", False)) == 4
