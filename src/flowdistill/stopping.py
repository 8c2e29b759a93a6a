"""Stopping a run from outside: SIGTERM, Ctrl-C, and the SIGUSR1 by which SLURM announces the end of a job's time.

The first signal asks for a stop: at once where nothing is lost by it, else at the next step, where all processes of a
training save together (`training/stop_together.py`). A second one ends the process at once, even while it waits in a
collective, so it is noticed by a thread. Tools that start processes often pass on a signal that the whole group had
already: what comes within `SAME_REQUEST` seconds is the same request.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

SAME_REQUEST = 3.0  # seconds
_WORKER_LIVES_ON = 30  # seconds


class Stopped(SystemExit):
    """Ends the process as a signal asked for: exit code 143 for SIGTERM, 130 for Ctrl-C, 0 for a requeued job.

    Attributes:
        signum: the signal.
        together: whether all processes of the training end by it.
    """

    def __init__(self, signum: int, together: bool = False) -> None:
        super().__init__(0 if signum == signal.SIGUSR1 else 128 + signum)
        self.signum, self.together = signal.Signals(signum), together

    def __str__(self) -> str:
        return self.signum.name


class StopSignals:
    """The signals that this process has had.

    Attributes:
        received: the first one; None before.
        deferred: whether somebody looks at `received` at every step; else the first signal ends the process at once.
        children: processes of this training that this one started; they end with it.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.deferred = False
        self.children: list[subprocess.Popen[bytes]] = []
        self._writer: int | None = None
        self._begun = 0.0

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Take over the signals meanwhile. Who ignores Ctrl-C, as a shell's jobs do, still does.

        Does nothing outside of the main thread, where Python handles no signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.received, self.deferred, self.children = None, False, []
        self._begun = time.monotonic()
        before = {signum: signal.getsignal(signum) for signum in self._asked_by()}
        for signum, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(signum, self._first)
        woken = (
            None
            if sys.platform == "win32"
            else signal.set_wakeup_fd(self._watched(), warn_on_full_buffer=False)
        )
        try:
            yield
        finally:
            if woken is not None:
                signal.set_wakeup_fd(woken)
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _watched(self) -> int:
        """Where Python writes the number of each signal, for a thread that lives as long as the process."""
        if self._writer is None:
            reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            watch = threading.Thread(
                target=self._wait_for_second, args=(reader,), daemon=True, name="signals"
            )
            watch.start()
            # A forked process's bytes would reach our thread.
            os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        return self._writer

    def _asked_by(self) -> list[signal.Signals]:
        # SIGUSR1 is SLURM's word for us only within one of its jobs; anywhere else it does what it always did.
        on_slurm = sys.platform != "win32" and "SLURM_JOB_ID" in os.environ
        return [signal.SIGTERM, signal.SIGINT, *([signal.SIGUSR1] if on_slurm else [])]

    def _first(self, signum: int, frame: FrameType | None) -> None:
        if self.received is not None:
            return
        self.received = signal.Signals(signum)
        if not self.deferred:
            say(f"\n{self.received.name}: stopped")
            raise Stopped(signum)
        say(f"\n{self.received.name}: stopping after this step; once more to end at once")

    def _wait_for_second(self, reader: int) -> None:
        first: float | None = None
        asked = set(self._asked_by())
        while True:
            for signum in os.read(reader, 64):
                if signum not in asked:
                    continue
                now = time.monotonic()
                if first is None or first < self._begun:  # of an earlier command of this process, perhaps
                    first = now
                elif now - first > SAME_REQUEST:
                    self.end_children()
                    say(f"\n{signal.Signals(signum).name} again: ended at once")
                    os._exit(128 + signum)

    def end_children(self) -> None:
        """Kill the processes of this training that this one started, as far as they run."""
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                child.kill()


@contextlib.contextmanager
def raised_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: by an exception, so that what it started ends, and saves, first."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Stopped(signum)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def leave_stopping_to_owner() -> None:
    """In a process that loads data: a signal to the group is its owner's, who needs a batch to stop well.

    It has some seconds for that. PyTorch's own handlers end such a process at once, and by that the owner.
    """
    if sys.platform == "win32":
        return
    for signum in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_WORKER_LIVES_ON))


def end_workers() -> None:
    """Kill the processes that load data for this one, when nobody takes their batches any more.

    Python would ask them with SIGTERM, and wait.
    """
    workers = multiprocessing.active_children()
    if workers and sys.platform != "win32" and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler takes their end for a failure
    for worker in workers:
        worker.kill()


def say(text: str) -> None:
    """A line on stderr, whatever has become of it."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


signals = StopSignals()
"""Those of this process."""
