"""Multi-node runs: the first machine runs every stage, the others join the trainings.

The same command is started on every machine, beginning with the first, with MASTER_ADDR, MASTER_PORT and NODE_RANK (0,
1, ...) set, and a shared output folder. The first one writes a heartbeat file there; the others stop waiting when it no
longer changes. Clocks of different machines are not compared: only changes of the file's content count.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.recipes.commands import finished, fit_or_resume
from flowdistill.recipes.reproduce.arguments import fit_arguments, start_of
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import TRAININGS

BEGUN, SIGN = ".begun", ".first_machine"
_POLL = 2.0  # seconds
BEAT = 5.0  # seconds between two heartbeats
SILENCE = 180.0  # maximum seconds without one: longer than shared file systems cache old content
FIRST_SIGN = 900.0  # maximum seconds until the first machine is started
_DONE, _FAILED = "done", "failed"


def node_rank(settings: Settings) -> int:
    """Return the number of this machine, 0 for a single one.

    Raises:
        UserError: there are several machines, and no valid variable with the number of this one.
    """
    if settings.nodes == 1:
        return 0
    for name in ("NODE_RANK", "GROUP_RANK", "SLURM_NODEID"):
        if (text := os.environ.get(name)) is not None:
            if not text.isdigit() or int(text) >= settings.nodes:
                raise UserError(
                    f"NODES={settings.nodes}: {name} is {text!r}, but must be 0 to {settings.nodes - 1}"
                )
            return int(text)
    raise UserError(
        f"NODES={settings.nodes}: start this command on each machine with MASTER_ADDR, MASTER_PORT and NODE_RANK set "
        "(0 on the first), and a shared OUTPUT"
    )


def join_trainings(settings: Settings, stages: Sequence[str]) -> None:
    """Join the remaining trainings, one after the other, on a machine other than the first.

    Raises:
        UserError: a training failed, or the first machine finished or stopped responding.
    """
    watch = Watch(settings.output / SIGN, _POLL)
    for stage in stages:
        if stage not in TRAININGS or finished(settings.folder(stage)) is not None:
            continue
        training = TRAININGS[stage]
        begun = settings.folder(stage) / BEGUN
        print(f"waiting for the first machine to start {stage} ...", flush=True)
        while not begun.is_file():
            watch.wait(f"to start {stage}")
        start = start_of(training, settings)
        fit_or_resume(settings.folder(stage), fit_arguments(training, settings, start))
        print(f"waiting for the first machine to finish {stage} ...", flush=True)
        while finished(settings.folder(stage)) is None:
            watch.wait(f"to finish {stage}")


@contextmanager
def announced(folder: Path, settings: Settings) -> Iterator[None]:
    """Announce a training to the other machines while it runs on the first machine."""
    if settings.nodes == 1:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / BEGUN
    begun.touch()
    try:
        yield
    finally:
        begun.unlink(missing_ok=True)


@contextmanager
def announcements(settings: Settings) -> Iterator[None]:
    """Clear announcements of a killed run and write heartbeats while the first machine runs all stages."""
    for begun in settings.output.glob(f"*/{BEGUN}"):
        begun.unlink(missing_ok=True)
    if settings.nodes == 1:
        yield
        return
    with at_work(settings.output / SIGN):
        yield


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
