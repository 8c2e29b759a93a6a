"""`flowdistill submit check` from the user's point of view, on submissions with the real numbers of files."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from flowdistill.cli.flowdistill import main
from flowdistill.submission.archive import write_zip
from flowdistill.submission.kinds import submission_kind

SIZE = (375, 1242)


def write(folder: Path, benchmark: str, task: str, size: tuple[int, int] = SIZE) -> Path:
    """A complete submission to KITTI; all disparities are the same file, and so are all flows."""
    contents = {
        "disparity": cv2.imencode(".png", np.full(size, 9000, np.uint16))[1].tobytes(),
        "flow": cv2.imencode(".png", np.full((*size, 3), 33000, np.uint16))[1].tobytes(),
    }
    for path, file in submission_kind(benchmark, task).files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(contents[file.content])
    return folder


@pytest.mark.parametrize(
    ("benchmark", "task", "count"), [("kitti2015", "sceneflow", 600), ("kitti2012", "stereo", 195)]
)
def test_no_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], benchmark: str, task: str, count: int
) -> None:
    size = (8, 12)
    folder = write(tmp_path / "out", benchmark, task, size)
    images = write(tmp_path / "images", "kitti2015", "stereo", size) / "disp_0"
    write_zip(tmp_path / "out.zip", folder, submission_kind(benchmark, task).files)
    assert main(["submit", "check", str(tmp_path / "out.zip"), "--images", str(images)]) == 0
    printed = capsys.readouterr().out
    assert f"checked as KITTI {benchmark[-4:]} {task}" in printed
    assert (
        f"no faults. KITTI {benchmark[-4:]} {task}: {count} files, 100.00 % of the pixels have a value"
        in printed
    )


def test_sizes_of_the_benchmark_without_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, "kitti2012", "flow", (4, 5))
    assert main(["submit", "check", str(folder)]) == 1
    printed = capsys.readouterr().out
    assert f"{folder}: 195 faults, checked as KITTI 2012 flow" in printed
    assert "370 x 1224 or 370 x 1226 or 374 x 1238 or 375 x 1242 or 376 x 1241" in printed
    assert printed.count("(4 x 5)") == 10
    assert "and 185 more" in printed


def test_faults_end_with_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind = submission_kind("kitti2015", "flow")
    folder = write(tmp_path / "out", "kitti2015", "flow")
    (folder / "flow" / "000123_10.png").unlink()
    names = [name for name in kind.files if (folder / name).is_file()]
    write_zip(tmp_path / "out.zip", folder, names)
    assert main(["submit", "check", str(tmp_path / "out.zip"), "--kind", "kitti2015", "--task", "flow"]) == 1
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'out.zip'}: 1 fault, checked as KITTI 2015 flow" in printed
    assert "is missing -> predict it too: KITTI 2015 flow has 200 files\n  flow/000123_10.png\n" in printed
    assert "--kind and --task override this" not in printed


def test_an_odd_disparity_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, "kitti2012", "stereo", SIZE)
    small = cv2.imencode(".png", np.full(SIZE, 35, np.uint16))[1].tobytes()
    (folder / "000007_10.png").write_bytes(small)
    assert main(["submit", "check", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert (
        "Suspicious, but not faults:\n\nhas no disparity of 3 px or more -> is it multiplied by 256?\n"
        in printed
    )
    assert "\n  000007_10.png (at most 0.137 px)\n" in printed


def test_an_empty_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    assert main(["submit", "check", str(tmp_path / "empty.zip")]) == 1
    assert "contains no file" in capsys.readouterr().out


def test_no_zip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.zip"
    path.write_bytes(b"not an archive")
    assert main(["submit", "check", str(path)]) == 1
    assert "is not a zip archive, or is truncated" in capsys.readouterr().out


def _nothing(folder: Path) -> list[str]:
    return [str(folder / "none.zip")]


def _bundled(folder: Path) -> list[str]:
    (folder / "out.lzma").write_bytes(b"]\0\0")
    return [str(folder / "out.lzma")]


def _unknown(folder: Path) -> list[str]:
    (folder / "readme.txt").write_text("")
    return [str(folder)]


def _no_images(folder: Path) -> list[str]:
    (folder / "flow").mkdir()
    (folder / "flow" / "000000_10.png").write_bytes(b"")
    (folder / "images").mkdir()
    return [str(folder), "--images", str(folder / "images")]


def _zipped_sintel(folder: Path) -> list[str]:
    name = "clean/wall/frame_0001.flo"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"")
    write_zip(folder / "out.zip", folder, [name])
    return [str(folder / "out.zip")]


def _no_such_task(folder: Path) -> list[str]:
    return [str(folder), "--kind", "sintel", "--task", "stereo"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_nothing, "there is no file or folder"),
        (_bundled, "check the folder with clean and final"),
        (_unknown, "Set it with --kind"),
        (_no_images, "--images: "),
        (_zipped_sintel, "MPI Sintel flow is not zipped"),
        (_no_such_task, "sintel has no stereo benchmark; it has flow"),
    ],
)
def test_the_users_mistakes_end_with_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], list[str]], words: str
) -> None:
    assert main(["submit", "check", *make(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message


def test_the_check_starts_without_torch(tmp_path: Path) -> None:
    folder = write(tmp_path, "kitti2012", "flow", (4, 5))
    script = (
        "import sys\nfrom flowdistill.cli.flowdistill import main\n"
        f"code = main(['submit', 'check', {str(folder)!r}])\nprint(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1 False"
