"""`flowdistill data tree`: the config's name of KITTI 2015, and a closed stdout."""

import subprocess
import sys

import pytest

from flowdistill.cli.flowdistill import main


def test_kitti_is_kitti_2015(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "tree", "kitti"]) == 0
    short = capsys.readouterr().out
    assert main(["data", "tree", "kitti2015"]) == 0
    assert short == capsys.readouterr().out
    assert "training/image_2" in short


def test_a_reader_that_goes_leaves_no_traceback() -> None:
    command = [sys.executable, "-m", "flowdistill.cli.flowdistill", "data", "tree", "things"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()  # before the command has written anything
    assert writer.wait() == 141
    assert writer.stderr.read() == b""
