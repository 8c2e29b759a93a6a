"""Heartbeat file of the first machine; the others stop waiting when it no longer changes.

Clocks of different machines are not compared: only changes of the file's content count.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically

BEAT = 5.0  # seconds between two heartbeats
SILENCE = 180.0  # maximum seconds without one: longer than shared file systems cache old content
FIRST_SIGN = 900.0  # maximum seconds until the first machine is started
_DONE, _FAILED = "done", "failed"


@contextmanager
def at_work(file: Path) -> Iterator[None]:
    """Write heartbeats until the block ends, then write how it ended."""
    stop = threading.Event()

    def beat() -> None:
        number = 0
        while not stop.is_set():
            with contextlib.suppress(OSError):  # a full disk stops the stage, not the heartbeat
                write_atomically(file, f"at work {time.time_ns()} {number}".encode())
            number += 1
            stop.wait(BEAT)

    thread = threading.Thread(target=beat, daemon=True, name="sign of life")
    thread.start()
    end = _FAILED
    try:
        yield
        end = _DONE
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(OSError):
            write_atomically(file, end.encode())


class Watch:
    """Monitor the heartbeats of the first machine while waiting for it.

    Args:
        file: heartbeat file.
        poll: seconds between two reads.
    """

    def __init__(self, file: Path, poll: float) -> None:
        self.file, self.poll = file, poll
        self._seen: str | None = None
        self._since = time.monotonic()
        # Content from an earlier start of the recipe is ignored.
        self._stale = self._read()

    def wait(self, what: str) -> None:
        """Sleep for `poll` seconds; raise UserError if there is nothing left to wait for.

        Args:
            what: the awaited event, for the message.
        """
        time.sleep(self.poll)
        content = self._read()
        if content == self._stale:
            content = None  # not started
        else:
            self._stale = None
        if content in (_DONE, _FAILED):
            how = "is done" if content == _DONE else "has failed; its message is in its own output"
            raise UserError(
                f"waiting for the first machine {what}, but its command {how}. Start all machines again."
            )
        now = time.monotonic()
        if content != self._seen:
            self._seen, self._since = content, now
        limit = FIRST_SIGN if self._seen is None else SILENCE
        if now - self._since > limit:
            state = "was not started" if self._seen is None else "no longer writes its heartbeat"
            raise UserError(
                f"waiting for the first machine {what}, but it {state} ({limit:.0f} seconds, {self.file}). Check its "
                "output, and start the command on all machines again: finished parts are skipped."
            )

    def _read(self) -> str | None:
        try:
            return self.file.read_text()
        except OSError:
            return None
