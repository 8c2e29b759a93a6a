"""A machine waits for the first one as long as that is running, and not indefinitely."""

import threading
import time
from pathlib import Path

import pytest

from flowdistill.errors import UserError
from flowdistill.recipes.reproduce import nodes
from flowdistill.recipes.reproduce.nodes import Watch, at_work


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "BEAT", 0.05)
    monkeypatch.setattr(nodes, "SILENCE", 0.5)
    monkeypatch.setattr(nodes, "FIRST_SIGN", 1.0)


def wait(watch: Watch, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watch.wait("to begin pretrain")


def test_signs_of_life_keep_it_waiting(tmp_path: Path) -> None:
    file = tmp_path / ".first_machine"
    with at_work(file):
        wait(Watch(file, 0.02), 2.0)  # longer than either limit
    assert file.read_text() == "done"


def test_a_machine_that_is_started_later_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / ".first_machine"
    file.write_text("failed")  # from the previous start
    watch = Watch(file, 0.02)
    stop = threading.Event()

    def later() -> None:
        time.sleep(0.5)
        with at_work(file):
            stop.wait(20)

    thread = threading.Thread(target=later)
    thread.start()
    wait(watch, 1.6)
    stop.set()
    thread.join()


@pytest.mark.parametrize("left", [None, "at work 17 3", "done", "failed"])
def test_a_machine_that_never_starts_is_an_error(left: str | None, tmp_path: Path) -> None:
    file = tmp_path / ".first_machine"
    if left is not None:
        file.write_text(left)
    started = time.monotonic()
    with pytest.raises(
        UserError, match=r"first machine to begin pretrain, but it was not started \(1 seconds"
    ):
        wait(Watch(file, 0.02), 20)
    assert 0.9 < time.monotonic() - started < 5


def test_a_machine_that_falls_silent_is_an_error(tmp_path: Path) -> None:
    """As after a power failure: the file no longer changes."""
    file = tmp_path / ".first_machine"
    watch = Watch(file, 0.02)
    file.write_text("at work 1 1")
    with pytest.raises(UserError, match="no longer writes its heartbeat"):
        wait(watch, 20)


def test_a_command_that_failed_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / ".first_machine"
    watch = Watch(file, 0.02)

    def work() -> None:
        with at_work(file):
            wait(watch, 0.3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with pytest.raises(UserError, match="its command has failed; its message is in its own output"):
        wait(watch, 20)
