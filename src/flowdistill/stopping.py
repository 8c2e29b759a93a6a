"""Stop a run by signals: SIGTERM, Ctrl-C, and SIGUSR1, which SLURM sends before a job's time limit.

The first signal requests a stop: immediately if nothing is lost, otherwise at the next step, where all processes of a
training save together (`training/stop_together.py`). A second one ends the process immediately, even while it waits in
a collective, so a thread watches for it. Launchers often forward a signal that the whole process group has already
received: signals within `SAME_REQUEST` seconds count as one request.
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
    """Exit requested by a signal: exit code 143 for SIGTERM, 130 for Ctrl-C, 0 for a requeued job.

    Attributes:
        signum: the signal.
        together: whether all processes of the training exit together.
    """

    def __init__(self, signum: int, together: bool = False) -> None:
        super().__init__(0 if signum == signal.SIGUSR1 else 128 + signum)
        self.signum, self.together = signal.Signals(signum), together

    def __str__(self) -> str:
        return self.signum.name


class StopSignals:
    """Signals received by this process.

    Attributes:
        received: the first signal; None until then.
        deferred: whether `received` is checked at every step; if not, the first signal ends the process immediately.
        children: processes of this training started by this one; they are killed together with it.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.deferred = False
        self.children: list[subprocess.Popen[bytes]] = []
        self._writer: int | None = None
        self._begun = 0.0

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals in this context. Ignored ones, such as Ctrl-C in a shell's background jobs, stay ignored.

        Does nothing outside the main thread, where Python does not handle signals.
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
        """Return the pipe to which Python writes each signal's number; a daemon thread reads it."""
        if self._writer is None:
            reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            watch = threading.Thread(
                target=self._wait_for_second, args=(reader,), daemon=True, name="signals"
            )
            watch.start()
            # Otherwise, signals of a forked process would reach this process's thread.
            os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        return self._writer

    def _asked_by(self) -> list[signal.Signals]:
        # SIGUSR1 is a stop request only within a SLURM job; elsewhere it keeps its previous handler.
        on_slurm = sys.platform != "win32" and "SLURM_JOB_ID" in os.environ
        return [signal.SIGTERM, signal.SIGINT, *([signal.SIGUSR1] if on_slurm else [])]

    def _first(self, signum: int, frame: FrameType | None) -> None:
        if self.received is not None:
            return
        self.received = signal.Signals(signum)
        if not self.deferred:
            say(f"\n{self.received.name}: stopped")
            raise Stopped(signum)
        say(f"\n{self.received.name}: stopping after this step; send it again to exit immediately")

    def _wait_for_second(self, reader: int) -> None:
        first: float | None = None
        asked = set(self._asked_by())
        while True:
            for signum in os.read(reader, 64):
                if signum not in asked:
                    continue
                now = time.monotonic()
                if first is None or first < self._begun:  # possibly of an earlier command of this process
                    first = now
                elif now - first > SAME_REQUEST:
                    self.end_children()
                    say(f"\n{signal.Signals(signum).name} again: exiting immediately")
                    os._exit(128 + signum)

    def end_children(self) -> None:
        """Kill the processes of this training that this one started and that are still running."""
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                child.kill()


@contextlib.contextmanager
def raised_on_sigterm() -> Iterator[None]:
    """Make SIGTERM raise an exception, as Ctrl-C does, so that child processes save and exit first."""

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
    """In a data-loading worker, leave stop signals to the training process, which needs a batch to stop cleanly.

    It has some seconds to do so. PyTorch's handlers would end the worker immediately, and thereby the training.
    """
    if sys.platform == "win32":
        return
    for signum in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_WORKER_LIVES_ON))


def end_workers() -> None:
    """Kill this process's data-loading workers once their batches are no longer needed.

    Python would send SIGTERM and wait.
    """
    workers = multiprocessing.active_children()
    if workers and sys.platform != "win32" and threading.current_thread() is threading.main_thread():
        signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # PyTorch's handler would report their exit as a failure
    for worker in workers:
        worker.kill()


def say(text: str) -> None:
    """Print a line to stderr, which may be closed."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


signals = StopSignals()
"""The signals of this process."""
