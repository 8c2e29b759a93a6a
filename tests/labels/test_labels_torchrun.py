"""Two processes of torchrun share a split."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = "{teachers: {m: {opencv: {max_disparity: 32}}}, motions: {flow: [m], disparity: [m]}}"


@pytest.mark.slow
def test_two_processes_make_what_one_makes(rendered: Path, tmp_path: Path) -> None:
    config = tmp_path / "labels.yaml"
    config.write_text(CONFIG)
    options = ["labels", "make", "--config", str(config), "--root", str(rendered)]
    options += ["--split", str(rendered / "train.txt"), "--output"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    found = []
    for launcher, output in (([sys.executable], "one_process"), (torchrun, "two_processes")):
        command = [*launcher, "-m", "flowdistill.cli.flowdistill", *options, output]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("4 samples in") == 1
        files = sorted((rendered / output / "left").rglob("*.*"))
        found.append({path.relative_to(rendered / output): path.read_bytes() for path in files})
    assert len(found[0]) == 4 * 7
    assert found[0] == found[1]
