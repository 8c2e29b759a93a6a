"""A file is written completely or not at all, whatever happens to the writer."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from flowdistill.formats import (
    FormatError,
    read_flo,
    write_atomically,
    write_flo,
    write_image,
    write_kitti_disparity,
    write_kitti_flow,
    write_pfm,
)

WRITERS: dict[str, Callable[[Path], None]] = {
    "a.flo": lambda path: write_flo(path, np.ones((4, 5, 2))),
    "a.pfm": lambda path: write_pfm(path, np.ones((4, 5, 3))),
    "flow.png": lambda path: write_kitti_flow(path, np.ones((4, 5, 2))),
    "disparity.png": lambda path: write_kitti_disparity(path, np.ones((4, 5, 1))),
    "image.png": lambda path: write_image(path, np.ones((4, 5, 3), np.uint8)),
    "image.jpg": lambda path: write_image(path, np.ones((4, 5, 3), np.uint8)),
    "image.ppm": lambda path: write_image(path, np.ones((4, 5, 3), np.uint8)),
}


@pytest.mark.parametrize(
    "parts", [b"new", [b"n", bytearray(b"e"), memoryview(b"w")], np.frombuffer(b"new", "u1").data]
)
def test_parts_follow_each_other(tmp_path: Path, parts) -> None:
    write_atomically(tmp_path / "a", parts)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("name", WRITERS)
def test_writers_replace_the_old_file_and_leave_nothing_else(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"old")
    WRITERS[name](tmp_path / name)
    assert (tmp_path / name).read_bytes() != b"old"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("failing", ["open", "fdopen", "replace"])
def test_a_failure_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, failing: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / name).write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, failing, fail)
        with pytest.raises(FormatError, match=rf"{name}: cannot write \(No space left on device\)"):
            WRITERS[name](tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"old"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_a_failure_midway_passes_through_and_cleans_up(tmp_path: Path, error: type[BaseException]) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x" * (1 << 20)
        assert len(os.listdir(tmp_path)) == 2  # the old file and the unfinished one beside it
        raise error("midway")

    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(error, match="midway"):
        write_atomically(tmp_path / "a", parts())
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


PAUSES_MIDWAY = """
import sys, time
from flowdistill.formats import write_atomically
def parts():
    yield b"x" * (1 << 20)
    print("midway", flush=True)
    time.sleep(60)
    yield b"y"
write_atomically(sys.argv[1], parts())
"""


@pytest.mark.parametrize("old", [b"old", None])
def test_a_writer_killed_midway_leaves_the_old_file_or_none(tmp_path: Path, old: bytes | None) -> None:
    target = tmp_path / "a"
    if old is not None:
        target.write_bytes(old)
    command = [sys.executable, "-c", PAUSES_MIDWAY, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "midway\n"
        writer.send_signal(signal.SIGKILL)
    assert (target.read_bytes() if target.exists() else None) == old


WRITES_ON_AND_ON = """
import sys
import numpy as np
from flowdistill.formats import write_flo
value = 0
while True:
    write_flo(sys.argv[1], np.full((300, 400, 2), value, np.float32))
    if not value:
        print("first", flush=True)
    value += 1
"""


def test_readers_see_whole_files_only_and_so_does_who_comes_after_a_kill(tmp_path: Path) -> None:
    target = tmp_path / "a.flo"
    command = [sys.executable, "-c", WRITES_ON_AND_ON, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "first\n"
        seen, end = set(), time.monotonic() + 1
        while time.monotonic() < end:
            flow = read_flo(target)
            assert (flow == flow[0, 0, 0]).all()
            seen.add(float(flow[0, 0, 0]))
        writer.send_signal(signal.SIGKILL)
    assert len(seen) > 10  # it did change while it was read
    last = read_flo(target)
    assert (last == last[0, 0, 0]).all()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_the_mode_follows_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_folder_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match=rf"the folder {tmp_path}/no/where does not exist; create it first"):
        WRITERS[name](tmp_path / "no" / "where" / name)
    assert os.listdir(tmp_path) == []


def test_a_target_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FormatError, match="the path is a folder"):
        write_atomically(tmp_path / "a", b"new")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="not a regular file"):
        write_atomically(tmp_path / "pipe", b"new")
    assert sorted(os.listdir(tmp_path)) == ["a", "pipe"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """The temporary file's name does not grow with the target's."""
    write_atomically(tmp_path / ("n" * 255), b"new")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"new"
