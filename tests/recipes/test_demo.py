"""The whole demo, as `make demo` runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_reaches_its_goals(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "flowdistill.cli.flowdistill",
        "demo",
        "--seed",
        "3",
        "--output",
        str(tmp_path / "demo"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    goals = json.loads((tmp_path / "demo" / "goals.json").read_text())
    assert done.returncode == 0, goals
    assert all(goal["reached"] for goal in goals)
    assert (tmp_path / "demo" / "overview.png").is_file()
