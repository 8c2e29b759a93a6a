"""Two trainings never write into one folder."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flowdistill.errors import UserError
from flowdistill.tracking.in_use import hold, release


@pytest.fixture
def other(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process, which locks the folder until it reads a line."""
    code = f"""
        import os, time
        from pathlib import Path
        from flowdistill.tracking.in_use import hold
        hold(Path({str(tmp_path)!r}))
        if os.fork() == 0:
            os.close(0)
            os.close(1)
            time.sleep(5)  # a worker that outlives its owner for a while
            os._exit(0)
        print("held", flush=True)
        input()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_that_another_process_has_is_refused_with_its_number(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"is in use by process {other.pid} on {os.uname().nodename}\."):
        hold(tmp_path)
    other.communicate("\n", timeout=60)
    hold(tmp_path)
    hold(tmp_path)  # once more by the same process
    release(tmp_path)
    assert not list(tmp_path.iterdir())
    release(tmp_path)


def test_a_process_that_is_killed_lets_go(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.kill()
    other.wait()
    hold(tmp_path)
    release(tmp_path)
