"""Folders and files without access permission give one line with their path: not a traceback, not "missing".

Root has access to everything, so these commands run without root privileges.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flowdistill.data.access import is_nowhere
from flowdistill.data.tree import files_below
from flowdistill.formats import write_flo, write_kitti_flow
from flowdistill.render.writer import Request, write_dataset

ROOT = Path(__file__).parents[2]
_RIGHTS = "-dac_override,-dac_read_search"
WITHOUT_RIGHTS = (
    ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}"] if os.geteuid() == 0 else []
)
pytestmark = pytest.mark.skipif(
    bool(WITHOUT_RIGHTS) and shutil.which("setpriv") is None,
    reason="root without setpriv may read everything",
)


# Each command with a place that is inaccessible meanwhile; all in one process, since importing torch takes seconds.
_SCRIPT = """
import contextlib, io, json, os, sys
from flowdistill.cli.flowdistill import main
results = []
for place, mode, arguments in json.loads(sys.argv[1]):
    before = os.stat(place).st_mode
    os.chmod(place, mode)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    os.chmod(place, before)
    results.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""

Case = tuple[Path, int, list[str]]


def run(cases: list[Case]) -> list[tuple[int, str, list[str]]]:
    """Exit code, stdout, and stderr without notes and progress."""
    text = json.dumps([(str(place), mode, arguments) for place, mode, arguments in cases])
    command = [*WITHOUT_RIGHTS, sys.executable, "-c", _SCRIPT, text]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return [
        (code, out, [line for line in err.splitlines() if line.startswith("error:")])
        for code, out, err in json.loads(done.stdout)
    ]


def are_refused(cases: list[Case], results: list[tuple[int, str, list[str]]]) -> None:
    """Each command ended with one line with the path and how to change its permissions."""
    for (place, _, _), (code, _, errors) in zip(cases, results, strict=True):
        assert code == 2
        (error,) = errors
        assert f"{place} cannot be listed and entered by this user (Permission denied)" in error
        assert f"chmod -R u+rwX {place}" in error
        assert "missing" not in error


def check(config: str, root: Path, *more: str) -> list[str]:
    arguments = [
        "data",
        "check",
        "--config",
        f"configs/data/{config}.yaml",
        "--root",
        str(root),
        "--workers",
        "1",
    ]
    return [*arguments, *more]


def test_the_check_of_closed_folders_and_a_closed_file(tmp_path: Path) -> None:
    for layout in ("things", "kitti2015"):
        write_dataset(tmp_path / layout, layout, Request(seed=0, scenes=2, frames=2, size=(64, 64)))
    (tmp_path / "split.txt").write_text("000000_00\n000001_00\n")
    keys = [
        f"--data.init_args.{view}.{key}_split" for view in ("flow", "scene_flow") for key in ("train", "val")
    ]
    scan = check("things", tmp_path / "things", "--fast")
    split = check(
        "kitti", tmp_path / "kitti2015", *[w for key in keys for w in (key, str(tmp_path / "split.txt"))]
    )
    labels = tmp_path / "kitti2015/training/flow_occ"
    frames = tmp_path / "things/frames_cleanpass/TRAIN/A/0000/left"
    cases = [(frames, 0, scan), (labels, 0, split), (labels, 0o600, split), (labels.parent, 0, split)]
    *results, (code, said, _) = run([*cases, (labels / "000001_00.png", 0, split)])
    are_refused(cases, results)
    assert code == 1
    assert "unreadable" in said
    assert "missing" not in said
    assert (
        "1 file such as training/flow_occ/000001_00.png: this user has no permission to read them. Use `chmod"
        in said
    )
    assert "Get again" not in said


def test_closed_predictions_and_submissions(tmp_path: Path) -> None:
    flow = np.ones((8, 8, 2), np.float32)
    for place in ("gt/flow/wall", "pred/clean/wall"):
        (tmp_path / place).mkdir(parents=True)
        write_flo(tmp_path / place / "frame_0001.flo", flow)
    for place in ("truth/flow_occ", "out/flow"):
        (tmp_path / place).mkdir(parents=True)
        write_kitti_flow(tmp_path / place / "000000_10.png", flow)
    sintel = ["evaluate", "sintel", "--predictions", f"{tmp_path}/pred", "--ground-truth", f"{tmp_path}/gt"]
    kitti = ["evaluate", "kitti", "--predictions", f"{tmp_path}/out", "--ground-truth", f"{tmp_path}/truth"]
    submission = ["submit", "check", f"{tmp_path}/out"]
    places = {
        "pred/clean/wall": [sintel], "gt": [sintel], "truth/flow_occ": [kitti], "out/flow": [kitti, submission],
        "out": [submission],
    }  # fmt: skip
    cases = [(tmp_path / place, 0, command) for place, commands in places.items() for command in commands]
    are_refused(cases, run(cases))


def test_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "a/twice").symlink_to("b")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    (tmp_path / "a/self").symlink_to("self")
    loops: list[str] = []
    assert list(files_below(tmp_path / "a", loops.append)) == ["b/file", "self", "twice/file"]
    assert loops == ["b/up", "twice/up"]
    assert is_nowhere(tmp_path / "a/self")
    assert not is_nowhere(tmp_path / "a/twice")
