"""A file that says, again and again, that the first machine is at work; the others wait no longer than it does.

Nothing compares the clocks of two machines: what counts is that the file's content changes.
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

BEAT = 5.0  # seconds between two signs
SILENCE = 180.0  # seconds without one: longer than shared file systems keep old contents
FIRST_SIGN = 900.0  # seconds in which the first machine may be started
_DONE, _FAILED = "done", "failed"


@contextmanager
def at_work(file: Path) -> Iterator[None]:
    """Give signs of life until the block ends, and say then how it ended."""
    stop = threading.Event()

    def beat() -> None:
        number = 0
        while not stop.is_set():
            with contextlib.suppress(OSError):  # a full disk ends the stage, not this
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
    """Looks at the other machine's signs of life while something is waited for.

    Args:
        file: of the signs.
        poll: seconds between two looks.
    """

    def __init__(self, file: Path, poll: float) -> None:
        self.file, self.poll = file, poll
        self._seen: str | None = None
        self._since = time.monotonic()
        # What an earlier start of the recipe left says nothing about this one.
        self._stale = self._read()

    def wait(self, what: str) -> None:
        """Sleep a little; raise UserError where there is nothing to wait for any more.

        Args:
            what: is waited for, for the message.
        """
        time.sleep(self.poll)
        content = self._read()
        if content == self._stale:
            content = None  # not begun
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
            state = "was not started" if self._seen is None else "gives no sign of life any more"
            raise UserError(
                f"waiting for the first machine {what}, but it {state} ({limit:.0f} seconds, {self.file}). Look at "
                "its output, and start the command on all machines again: what is done is not done twice."
            )

    def _read(self) -> str | None:
        try:
            return self.file.read_text()
        except OSError:
            return None
