"""`flowdistill evaluate kitti` from the user's point of view: JSON, table, skipped parts, and every mistake."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from flowdistill.cli.flowdistill import main

DEVKIT = Path(__file__).parents[1] / "golden" / "kitti_devkit"
OFFICIAL = json.loads((DEVKIT / "expected.json").read_text())["variants"]["official_float_ratio"]
SCENE = "000001_10.png"


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """A copy that a test may modify: pred/ and gt/."""
    for part in ("pred", "gt"):
        shutil.copytree(DEVKIT / part, tmp_path / part)
    return tmp_path


def evaluate(folder: Path, *options: str) -> tuple[int, Path]:
    out = folder / "result" / "kitti.json"
    arguments = [
        "--predictions",
        str(folder / "pred"),
        "--ground-truth",
        str(folder / "gt"),
        "--json",
        str(out),
    ]
    return main(["evaluate", "kitti", *arguments, *options]), out


def counts(block: dict) -> dict:
    return {name: {k: v for k, v in block[name].items() if "rate" not in k} for name in ("bg", "fg", "all")}


def test_json_and_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            ["evaluate", "kitti", "--predictions", str(DEVKIT / "pred"), "--ground-truth", str(DEVKIT / "gt")]
        )
        == 0
    )
    printed, _, _ = capsys.readouterr().out.partition("without the 5 % rule")
    lines = printed.splitlines()
    table = {
        tuple(line.split()[:2]): line.split()[2:] for line in lines if line[:2] in ("D1", "D2", "Fl", "SF")
    }
    assert len(table) == 8
    titles = {"D1": "disp_0", "D2": "disp_1", "Fl": "flow", "SF": "scene_flow"}
    for (title, occlusion), cells in table.items():
        block = OFFICIAL["pooled"][f"{titles[title]}_{occlusion}"]
        numbers = [block[name]["rate"] for name in ("bg", "fg", "all")] + [block["density"]]
        assert cells[:4] == [f"{100 * number:.2f}" for number in numbers]
        assert (cells[4] == "-") == (title == "SF")


def test_workers_give_the_same_file(devkit: Path) -> None:
    code, out = evaluate(devkit)
    assert code == 0
    alone = out.read_bytes()
    out.unlink()
    code, out = evaluate(devkit, "--workers", "2")
    assert code == 0
    assert out.read_bytes() == alone
    content = json.loads(alone, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    assert list(content) == ["pooled", "large_errors", "mean_of_images", "per_image"]
    assert content["pooled"]["scene_flow_occ"]["epe"] is None
    assert content["pooled"]["flow_occ"]["epe"] > 0


def test_an_absent_folder_leaves_its_metrics_and_scene_flow_out(
    devkit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(devkit / "pred" / "disp_1")
    code, out = evaluate(devkit)
    assert code == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("disp_1"))
    assert str(devkit / "pred" / "disp_1") in line
    assert "scene_flow are left out" in line
    pooled = json.loads(out.read_text())["pooled"]
    assert set(pooled) == {"disp_0_noc", "disp_0_occ", "flow_noc", "flow_occ"}
    for metric, block in pooled.items():
        assert counts(block) == counts(OFFICIAL["pooled"][metric])


def test_truth_of_one_kind_is_enough(devkit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("flow_noc", "disp_occ_1"):
        shutil.rmtree(devkit / "gt" / folder)
    code, out = evaluate(devkit)
    assert code == 0
    printed = capsys.readouterr().out
    assert (
        f"flow_noc: no folder {devkit / 'gt' / 'flow_noc'}; flow_noc and scene_flow_noc are left out"
        in printed
    )
    assert "disp_1_occ and scene_flow_occ are left out" in printed
    assert set(json.loads(out.read_text())["pooled"]) == {
        "disp_0_noc",
        "disp_0_occ",
        "disp_1_noc",
        "flow_occ",
    }


@pytest.mark.parametrize("name", ["disp_0", "disp"])
def test_kitti_2012(devkit: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    gt = devkit / "gt"
    for occlusion in ("noc", "occ"):
        (gt / f"disp_{occlusion}_0").rename(gt / f"disp_{occlusion}")
        shutil.rmtree(gt / f"disp_{occlusion}_1")
        (gt / f"disp_refl_{occlusion}").mkdir()
    shutil.rmtree(gt / "obj_map")
    if name == "disp":
        (devkit / "pred" / "disp_0").rename(devkit / "pred" / "disp")
    code, out = evaluate(devkit)
    assert code == 0
    printed = capsys.readouterr().out
    assert "every pixel counts as background" in printed
    assert "disp_1 and scene_flow are left out" in printed
    header = next(line for line in printed.splitlines() if "density" in line)
    assert header.split()[0] == "all"
    content = json.loads(out.read_text())
    for part, stated in ((content["pooled"], OFFICIAL["pooled"]), *_images(content)):
        assert set(part) == {"disp_0_noc", "disp_0_occ", "flow_noc", "flow_occ"}
        for metric, block in part.items():
            assert block["all"] == stated[metric]["all"]
            assert block["bg"] == block["all"]
            assert set(block["fg"].values()) == {0}


def _images(content: dict) -> list[tuple[dict, dict]]:
    return [(blocks, OFFICIAL["per_image"][name]) for name, blocks in content["per_image"].items()]


def test_an_image_without_truth_or_foreground_has_rates_of_zero(devkit: Path) -> None:
    for path in (devkit / "gt").glob("*_noc*/000000_10.png"):
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.zeros_like(pixels))
    code, out = evaluate(devkit)
    assert code == 0
    block = json.loads(out.read_text())["per_image"]["000000_10"]["flow_noc"]
    assert set(block["all"].values()) == {0}
    assert block["density"] == 0
    assert block["epe"] is None


def rewrite(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    return spoil


MISTAKES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "missing": (f"pred/disp_1/{SCENE}", Path.unlink, "1 of 9 predictions are missing"),
    "8 bit": (f"pred/disp_0/{SCENE}", rewrite(lambda p: (p // 256).astype(np.uint8)), "found 8-bit grey"),
    "8-bit flow": (f"pred/flow/{SCENE}", rewrite(lambda p: (p // 256).astype(np.uint8)), "found 8-bit RGB"),
    "colours": (f"pred/disp_0/{SCENE}", rewrite(lambda p: np.dstack([p] * 3)), "found 16-bit RGB"),
    "grey flow": (f"pred/flow/{SCENE}", rewrite(lambda p: p[..., 0]), "found 16-bit grey"),
    "a row less": (f"pred/flow/{SCENE}", rewrite(lambda p: p[1:]), "expected 94 x 310 pixels"),
    "a column more": (
        f"pred/disp_1/{SCENE}",
        rewrite(lambda p: np.hstack([p, p[:, :1]])),
        "found 94 x 311",
    ),
    "turned": (f"pred/disp_0/{SCENE}", rewrite(lambda p: np.ascontiguousarray(p.T)), "found 310 x 94"),
    "truncated": (f"pred/flow/{SCENE}", lambda p: p.write_bytes(p.read_bytes()[:5000]), "truncated"),
    "no truth": (f"gt/flow_noc/{SCENE}", Path.unlink, "1 of 21 ground truth files are missing"),
    "no object map": (f"gt/obj_map/{SCENE}", Path.unlink, "1 of 21 ground truth files are missing"),
    "16-bit objects": (f"gt/obj_map/{SCENE}", rewrite(lambda p: p.astype(np.uint16)), "found 16-bit grey"),
    "small truth": (f"gt/disp_noc_0/{SCENE}", rewrite(lambda p: p[:-1]), "found 93 x 310"),
}


@pytest.mark.parametrize(
    ("mistake", "workers"), [*[(mistake, 1) for mistake in MISTAKES], ("8 bit", 2), ("a row less", 2)]
)
def test_a_wrong_file_is_named_and_nothing_is_written(
    devkit: Path, capsys: pytest.CaptureFixture[str], mistake: str, workers: int
) -> None:
    place, spoil, words = MISTAKES[mistake]
    spoil(devkit / place)
    code, out = evaluate(devkit, "--workers", str(workers))
    message = capsys.readouterr().err
    assert code == 2
    assert str(devkit / place) in message
    assert words in message
    assert "Traceback" not in message
    assert not out.exists()


def test_an_older_result_survives_a_failure(devkit: Path) -> None:
    _, out = evaluate(devkit)
    before = out.read_bytes()
    (devkit / "pred" / "flow" / SCENE).unlink()
    assert evaluate(devkit)[0] == 2
    assert out.read_bytes() == before


def _remove_predictions(folder: Path) -> None:
    for motion in ("disp_0", "disp_1", "flow"):
        shutil.rmtree(folder / "pred" / motion)


def _empty_truth(folder: Path) -> None:
    for path in (folder / "gt").glob("*/*.png"):
        path.unlink()


def _move_truth(folder: Path) -> None:
    (folder / "gt").rename(folder / "moved")
    (folder / "gt").mkdir()
    (folder / "moved").rename(folder / "gt" / "training")


def _both_disparities(folder: Path) -> None:
    for occlusion in ("noc", "occ"):
        (folder / "gt" / f"disp_{occlusion}_0").rename(folder / "gt" / f"disp_{occlusion}")
        shutil.rmtree(folder / "gt" / f"disp_{occlusion}_1")
    shutil.copytree(folder / "pred" / "disp_0", folder / "pred" / "disp")


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no prediction folder": (_remove_predictions, "nothing to evaluate"),
    "no predictions": (lambda folder: shutil.rmtree(folder / "pred"), "--predictions: there is no folder"),
    "no truth": (lambda folder: shutil.rmtree(folder / "gt"), "--ground-truth: there is no folder"),
    "truth one folder up": (_move_truth, "gt/training?"),
    "empty truth": (_empty_truth, "no PNG file in"),
    "two disparities": (_both_disparities, "remove one of them"),
    "a folder as output": (
        lambda folder: (folder / "result" / "kitti.json").mkdir(parents=True),
        "is a folder",
    ),
    "a file in the way": (lambda folder: (folder / "result").write_text(""), "is not a folder"),
}


@pytest.mark.parametrize("mistake", FOLDERS)
def test_wrong_folders_are_told(devkit: Path, capsys: pytest.CaptureFixture[str], mistake: str) -> None:
    spoil, words = FOLDERS[mistake]
    spoil(devkit)
    code, out = evaluate(devkit)
    assert code == 2
    assert words in capsys.readouterr().err
    assert not out.is_file()


def test_a_worker_at_least(devkit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(devkit, "--workers", "0")[0] == 2
    assert "--workers is 0" in capsys.readouterr().err


def test_other_files_do_not_disturb(devkit: Path) -> None:
    """Predictions of other frames, and files that macOS adds to archives."""
    shutil.copy(devkit / "pred" / "flow" / SCENE, devkit / "pred" / "flow" / "000009_11.png")
    (devkit / "gt" / "flow_occ" / f"._{SCENE}").write_bytes(b"resource fork")
    code, out = evaluate(devkit)
    assert code == 0
    assert list(json.loads(out.read_text())["per_image"]) == ["000000_10", "000001_10", "000002_10"]


def test_the_command_starts_without_torch() -> None:
    """Importing torch and torchmetrics takes as long as evaluating 30 images, and this in every worker process."""
    arguments = [
        "evaluate",
        "kitti",
        "--predictions",
        str(DEVKIT / "pred"),
        "--ground-truth",
        str(DEVKIT / "gt"),
    ]
    script = (
        "import sys\nfrom flowdistill.cli.flowdistill import main\n"
        f"code = main({arguments!r})\nprint(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
