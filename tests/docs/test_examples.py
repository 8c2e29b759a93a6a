"""The scripts of examples/ run as their first lines say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from flowdistill.formats import read_flo, read_image

ROOT = Path(__file__).parents[2]


def run(script: str, *words: str) -> str:
    command = [sys.executable, str(ROOT / "examples" / script), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_train_from_python_then_flow_of_two_images(tmp_path: Path) -> None:
    text = run("train_from_python.py", "--steps", "4", "--output", str(tmp_path))
    found = re.search(r"flow EPE (\d+\.\d+) px after 4 steps", text)
    assert found is not None
    assert 0 < float(found[1]) < 100
    images = [
        str(path) for path in sorted((tmp_path / "data" / "training" / "image_2").glob("000000_*.png"))[:2]
    ]
    text = run("flow_of_two_images.py", str(tmp_path / "last.ckpt"), *images, str(tmp_path / "out"))
    flow = read_flo(tmp_path / "out" / "flow.flo")
    flow = flow[0] if isinstance(flow, tuple) else flow
    assert flow.shape == (64, 128, 2)
    assert f"mean motion {np.linalg.norm(flow, axis=2).mean():.2f} px" in text
    assert read_image(tmp_path / "out" / "flow.png").shape == (64, 128, 3)


def test_rendered_scenes_are_one_picture(tmp_path: Path) -> None:
    run("rendered_scenes.py", "street", str(tmp_path / "a.png"), "--scenes", "2", "--size", "64x96")
    run(
        "rendered_scenes.py", "street", str(tmp_path / "a.png"), "--scenes", "2", "--size", "64x96"
    )  # once more
    height, width = read_image(tmp_path / "a.png").shape[:2]
    # Five columns and two rows, twice as large, with margins.
    assert 5 * 192 < width < 6 * 192
    assert 2 * 128 < height < 3 * 128
