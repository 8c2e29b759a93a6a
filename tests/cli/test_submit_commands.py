"""`flowdistill submit kitti2015 | kitti2012 | sintel` from the user's point of view."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from flowdistill.cli.flowdistill import main
from flowdistill.formats import write_image
from flowdistill.submission import kinds as submission_kinds
from flowdistill.training import DDFlowModule

SIZE = (64, 66)
FRAMES = {"wall": 3, "tiger": 2}


def write_pictures(folder: Path, names: list[str]) -> None:
    """A texture that moves by two pixels from one image to the next."""
    texture = np.random.default_rng(0).integers(0, 256, (SIZE[0], 400, 3), dtype=np.uint8)
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        start = 2 * (number % 100)
        write_image(folder / name, texture[:, start : start + SIZE[1]])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    module = DDFlowModule(losses={"census_no_occlusion": 1.0}, width=0.125)
    path = tmp_path_factory.mktemp("checkpoint") / "last.ckpt"
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, path)
    return path


@pytest.fixture(scope="module")
def kitti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 200 test scenes of 2015, and the 195 of 2012, in one folder."""
    root = tmp_path_factory.mktemp("kitti")
    for camera, scenes in (("image_2", 200), ("image_0", 195)):
        names = [f"{scene:06d}_{frame}.png" for scene in range(scenes) for frame in (10, 11)]
        write_pictures(root / "testing" / camera, names)
    return root


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two test scenes in place of twelve."""
    monkeypatch.setattr(submission_kinds, "SINTEL_TEST_FRAMES", FRAMES)
    for scene, count in FRAMES.items():
        for pass_ in ("clean", "final"):
            names = [f"{scene}/frame_{number:04d}.png" for number in range(1, count + 1)]
            write_pictures(tmp_path / "sintel" / "test" / pass_, names)
    return tmp_path / "sintel"


def arguments(benchmark: str, checkpoint: Path, root: Path, output: Path, *more: str) -> list[str]:
    options = ["--checkpoint", str(checkpoint), "--root", str(root), "--output", str(output)]
    return ["submit", benchmark, *options, *more, "--device", "cpu"]


def test_kitti_2015(
    kitti: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "flow.zip"
    command = arguments("kitti2015", checkpoint, kitti, output, "--task", "flow")
    assert main(command) == 0
    words = f"{output}: no faults. KITTI 2015 flow: 200 files, 100.00 % of the pixels have a value"
    assert words in capsys.readouterr().out
    with zipfile.ZipFile(output) as archive:
        assert archive.namelist() == [f"flow/{scene:06d}_10.png" for scene in range(200)]
    assert list(output.parent.iterdir()) == [output]
    # The separate check has the same result if it is given the images.
    check = ["submit", "check", str(output)]
    assert main([*check, "--images", str(kitti / "testing" / "image_2")]) == 0
    assert main(check) == 1
    assert "(64 x 66)" in capsys.readouterr().out
    before = output.read_bytes()
    assert main(command) == 2
    assert f"--output: {output} exists and is not replaced" in capsys.readouterr().err
    assert output.read_bytes() == before


def test_kitti_2012_of_the_grey_cameras(
    kitti: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = arguments("kitti2012", checkpoint, kitti, tmp_path / "out.zip", "--task", "flow")
    assert main(command) == 2
    assert f"--root: {kitti} has no folder testing/colored_0" in capsys.readouterr().err
    assert main([*command, "--cameras", "grey"]) == 0
    assert "KITTI 2012 flow: 195 files" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == [f"{scene:06d}_10.png" for scene in range(195)]


def test_sintel_prints_how_to_bundle(
    film: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "my flow"
    assert main(arguments("sintel", checkpoint, film, output)) == 0
    printed = capsys.readouterr().out
    assert f"{output}: no faults. MPI Sintel flow: 6 files" in printed
    assert f"\n  bundler '{output}/clean/' '{output}/final/' '{output}.lzma'\n" in printed
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob("*.flo")) == [
        f"{pass_}/{name}.flo"
        for pass_ in ("clean", "final")
        for name in ("tiger/frame_0001", "wall/frame_0001", "wall/frame_0002")
    ]


def write_bundler(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_sintel_runs_the_bundler(
    film: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundler = write_bundler(tmp_path / "bundler", '(ls "$1" "$2"; echo $#) > "$3"')
    output = tmp_path / "out"
    command = arguments("sintel", checkpoint, film, output, "--bundler", str(bundler))
    assert main(command) == 0
    bundled = tmp_path / "out.lzma"
    assert f"upload {bundled}" in capsys.readouterr().out
    lines = bundled.read_text().split()
    assert lines == [f"{output}/clean/:", "tiger", "wall", f"{output}/final/:", "tiger", "wall", "3"]


@pytest.mark.parametrize(
    ("script", "words"), [("exit 3", "ended with code 3"), ("true", "wrote no file"), (None, "cannot be run")]
)
def test_a_bundler_that_fails(
    film: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    script: str | None,
    words: str,
) -> None:
    bundler = write_bundler(tmp_path / "bundler", script or "")
    if script is None:
        bundler.write_bytes(b"\0no program")
    output = tmp_path / "out"
    assert main(arguments("sintel", checkpoint, film, output, "--bundler", str(bundler))) == 2
    assert words in capsys.readouterr().err
    assert len(list(output.rglob("*.flo"))) == 6  # the work is not lost


def test_a_bundler_that_cannot_work_is_told_before_the_work(
    film: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundler = tmp_path / "bundler"
    command = arguments("sintel", checkpoint, film, tmp_path / "out", "--bundler", str(bundler))
    assert main(command) == 2
    assert "--bundler: there is no file" in capsys.readouterr().err
    bundler.write_text("#!/bin/sh")
    bundler.chmod(0o644)
    assert main(command) == 2
    assert f"chmod +x {bundler}" in capsys.readouterr().err
    bundler.chmod(0o755)
    (tmp_path / "out.lzma").write_text("older")
    assert main(command) == 2
    assert "out.lzma exists and is not replaced" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_mistakes(kitti: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.zip"
    mistakes = {
        "must be a zip file": arguments("kitti2015", checkpoint, kitti, tmp_path / "out", "--task", "flow"),
        "use a DWARF checkpoint": arguments("kitti2015", checkpoint, kitti, output, "--task", "stereo"),
        "does not exist": arguments("kitti2015", tmp_path / "no.ckpt", kitti, output, "--task", "flow"),
        "has no folder test/clean": arguments("sintel", checkpoint, kitti, tmp_path / "film"),
        "cannot make the folder": arguments(
            "kitti2015", checkpoint, kitti, checkpoint / "out.zip", "--task", "flow"
        ),
    }
    for words, command in mistakes.items():
        assert main(command) == 2
        message = capsys.readouterr().err
        assert words in message
        assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []
