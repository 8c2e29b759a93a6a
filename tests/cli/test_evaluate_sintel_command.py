"""`flowdistill evaluate sintel` from the user's point of view: JSON, table, skipped parts, and every mistake."""

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
from flowdistill.formats import read_flo, write_flo

SIZE = (20, 32)
FRAMES = ("ambush_2/frame_0001", "ambush_2/frame_0002", "temple_2/frame_0001")
WRONG = {"clean": (3.0, 4.0), "final": (0.0, 13.0)}  # errors of 5 and 13 px
SPEEDS = {"ambush_2": 20.0, "temple_2": 2.0}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """pred/ and gt/: constant flow per scene, constant error per pass, four occluded columns, one invalid row."""
    for name in FRAMES:
        truth = np.zeros((*SIZE, 2), np.float32)
        truth[..., 0] = SPEEDS[name.split("/")[0]]
        occluded, invalid = np.zeros((2, *SIZE), np.uint8)
        occluded[:, :4] = 255
        invalid[0] = 255
        paths = {kind: tmp_path / "gt" / kind / name for kind in ("flow", "occlusions", "invalid")} | {
            kind: tmp_path / "pred" / kind / name for kind in WRONG
        }
        for path in paths.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        write_flo(paths["flow"].with_suffix(".flo"), truth)
        cv2.imwrite(str(paths["occlusions"].with_suffix(".png")), occluded)
        cv2.imwrite(str(paths["invalid"].with_suffix(".png")), invalid)
        for kind, error in WRONG.items():
            prediction = truth + np.float32(error)
            prediction[0] = 1e8  # the invalid row
            write_flo(paths[kind].with_suffix(".flo"), prediction)
    return tmp_path


def evaluate(folder: Path, *options: str) -> tuple[int, Path]:
    out = folder / "result" / "sintel.json"
    arguments = ["--predictions", str(folder / "pred"), "--ground-truth", str(folder / "gt")]
    return main(["evaluate", "sintel", *arguments, "--json", str(out), *options]), out


def test_json_and_table(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = evaluate(tree)
    assert code == 0
    content = json.loads(out.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    assert list(content) == ["pooled", "per_scene", "per_frame"]
    assert list(content["per_frame"]) == list(FRAMES)
    assert list(content["per_scene"]) == ["ambush_2", "temple_2"]
    height, width = SIZE[0] - 1, SIZE[1]
    # Distances along a row: 4, 3, 2, 1 px in the occluded columns, then 1, 2, ..., 28.
    pixels = {"all": 3 * height * width, "matched": 3 * height * (width - 4), "unmatched": 3 * height * 4,
              "d0-10": 3 * height * 13, "d10-60": 3 * height * 19, "d60-140": 0, "s0-10": height * width,
              "s10-40": 2 * height * width, "s40+": 0}  # fmt: skip
    for pass_, error in {"clean": 5.0, "final": 13.0}.items():
        assert content["pooled"][pass_] == {
            region: {"epe": error if count else None, "pixels": count} for region, count in pixels.items()
        }
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("clean", "final"))}
    header = next(line for line in lines if "unmatched" in line)
    assert header.split() == list(pixels)
    assert table["clean"] == ["5.000" if count else "-" for count in pixels.values()]
    assert table["final"] == ["13.000" if count else "-" for count in pixels.values()]


def test_workers_give_the_same_file(tree: Path) -> None:
    rng = np.random.default_rng(0)
    for path in (tree / "pred").rglob("*.flo"):
        write_flo(path, read_flo(path) + rng.normal(0, 1, (*SIZE, 2)).astype(np.float32))
    code, out = evaluate(tree)
    assert code == 0
    alone = out.read_bytes()
    out.unlink()
    assert evaluate(tree, "--workers", "2")[0] == 0
    assert out.read_bytes() == alone


def test_an_absent_pass_is_left_out(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(tree / "pred" / "final")
    code, out = evaluate(tree)
    assert code == 0
    assert f"final: no folder {tree / 'pred' / 'final'}; it is left out" in capsys.readouterr().out
    assert list(json.loads(out.read_text())["pooled"]) == ["clean"]


def test_absent_masks_leave_their_regions_out(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(tree / "gt" / "occlusions")
    shutil.rmtree(tree / "gt" / "invalid")
    code, out = evaluate(tree)
    assert code == 0
    printed = capsys.readouterr().out
    assert f"no folder {tree / 'gt' / 'occlusions'}: matched, unmatched and the distances" in printed
    assert f"no folder {tree / 'gt' / 'invalid'}: every pixel counts" in printed
    clean = json.loads(out.read_text())["pooled"]["clean"]
    assert list(clean) == ["all", "s0-10", "s10-40", "s40+"]
    assert clean["all"]["pixels"] == 3 * SIZE[0] * SIZE[1]
    assert clean["all"]["epe"] > 1e6  # the row is no longer invalid


@pytest.mark.parametrize("renamed", [FRAMES, FRAMES[2:], FRAMES[1:2]])
def test_the_names_of_the_bundlers_readme_give_the_same_file(tree: Path, renamed: tuple[str, ...]) -> None:
    assert evaluate(tree)[0] == 0
    before = (tree / "result" / "sintel.json").read_bytes()
    for name in renamed:
        for kind in WRONG:
            path = tree / "pred" / kind / f"{name}.flo"
            path.rename(path.with_name(path.name.replace("_", "")))
    for workers in ("1", "2"):
        code, out = evaluate(tree, "--workers", workers)
        assert code == 0
        assert out.read_bytes() == before


def test_a_frame_under_both_names_and_other_names(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tree / "pred" / "final" / f"{FRAMES[0]}.flo"
    shutil.copy(first, first.with_name("frame0001.flo"))
    assert evaluate(tree)[0] == 2
    said = capsys.readouterr().err
    assert f"{first.parent} contains two predictions of a frame, frame_0001.flo and frame0001.flo" in said
    first.with_name("frame0001.flo").unlink()
    first.rename(first.with_name("out_0001.flo"))
    assert evaluate(tree)[0] == 2
    said = capsys.readouterr().err
    assert f"1 of 6 predictions are missing:\n  {first}\n" in said
    assert "Found final/ambush_2/out_0001.flo: rename them to frame_0001.flo or frame0001.flo." in said


def test_chosen_scenes(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(tree / "pred" / "clean" / "ambush_2")
    shutil.rmtree(tree / "pred" / "final" / "ambush_2")
    assert evaluate(tree)[0] == 2
    message = capsys.readouterr().err
    assert "4 of 6 predictions are missing" in message
    assert "--scenes" in message
    code, out = evaluate(tree, "--scenes", "temple_2")
    assert code == 0
    assert list(json.loads(out.read_text())["per_frame"]) == ["temple_2/frame_0001"]
    assert evaluate(tree, "--scenes", "temple_2", "alley_9")[0] == 2
    assert "has no scene alley_9; it has ambush_2, temple_2" in capsys.readouterr().err


def set_pixel(value: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        flow = read_flo(path)
        flow[5, 6, 1] = value
        write_flo(path, flow)

    return spoil


NAME = "ambush_2/frame_0002"
MISTAKES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": (f"pred/final/{NAME}.flo", Path.unlink, "1 of 6 predictions are missing"),
    "nan": (f"pred/clean/{NAME}.flo", set_pixel(np.nan), "found 1 pixels that are not finite"),
    "infinite": (f"pred/clean/{NAME}.flo", set_pixel(-np.inf), "found 1 pixels that are not finite"),
    "unknown": (f"pred/final/{NAME}.flo", set_pixel(1.7e9), "over 1e+09 px"),
    "a row less": (
        f"pred/final/{NAME}.flo",
        lambda path: write_flo(path, read_flo(path)[1:]),
        "expected 20 x 32 pixels",
    ),
    "truncated": (
        f"pred/clean/{NAME}.flo",
        lambda path: path.write_bytes(path.read_bytes()[:99]),
        "99 bytes",
    ),
    "no flo": (f"pred/clean/{NAME}.flo", lambda path: path.write_bytes(b"\x89PNG" * 9), "magic number"),
    "no mask": (f"gt/occlusions/{NAME}.png", Path.unlink, "1 of 6 ground truth files are missing"),
    "small mask": (
        f"gt/invalid/{NAME}.png",
        lambda path: cv2.imwrite(str(path), np.zeros((19, 32), np.uint8)),
        "found 19 x 32",
    ),
    "16-bit mask": (
        f"gt/invalid/{NAME}.png",
        lambda path: cv2.imwrite(str(path), np.zeros(SIZE, np.uint16)),
        "found 16-bit grey",
    ),
}


@pytest.mark.parametrize(("mistake", "workers"), [*[(mistake, 1) for mistake in MISTAKES], ("nan", 2)])
def test_a_wrong_file_is_named_and_nothing_is_written(
    tree: Path, capsys: pytest.CaptureFixture[str], mistake: str, workers: int
) -> None:
    place, spoil, words = MISTAKES[mistake]
    spoil(tree / place)
    code, out = evaluate(tree, "--workers", str(workers))
    message = capsys.readouterr().err
    assert code == 2
    assert str(tree / place) in message
    assert words in message
    assert "Traceback" not in message
    assert not out.exists()


def _move_truth(folder: Path) -> None:
    (folder / "gt").rename(folder / "moved")
    (folder / "gt").mkdir()
    (folder / "moved").rename(folder / "gt" / "training")


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no passes": (
        lambda folder: (shutil.rmtree(folder / "pred"), (folder / "pred").mkdir()),
        "neither clean nor final",
    ),
    "no predictions": (lambda folder: shutil.rmtree(folder / "pred"), "--predictions: there is no folder"),
    "no truth": (lambda folder: shutil.rmtree(folder / "gt"), "--ground-truth: there is no folder"),
    "truth one folder up": (_move_truth, "gt/training?"),
    "empty truth": (
        lambda folder: [path.unlink() for path in (folder / "gt" / "flow").rglob("*.flo")],
        "contains no SCENE/frame_NNNN.flo",
    ),
    "a folder as output": (
        lambda folder: (folder / "result" / "sintel.json").mkdir(parents=True),
        "is a folder",
    ),
}


@pytest.mark.parametrize("mistake", FOLDERS)
def test_wrong_folders_are_told(tree: Path, capsys: pytest.CaptureFixture[str], mistake: str) -> None:
    spoil, words = FOLDERS[mistake]
    spoil(tree)
    code, out = evaluate(tree)
    assert code == 2
    assert words in capsys.readouterr().err
    assert not out.is_file()


def test_the_command_starts_without_torch(tree: Path) -> None:
    arguments = [
        "evaluate",
        "sintel",
        "--predictions",
        str(tree / "pred"),
        "--ground-truth",
        str(tree / "gt"),
    ]
    script = (
        "import sys\nfrom flowdistill.cli.flowdistill import main\n"
        f"code = main({arguments!r})\nprint(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
