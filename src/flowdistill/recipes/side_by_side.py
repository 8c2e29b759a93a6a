"""Run jobs of a recipe in parallel, one thread each, with readable output: every line starts with its job's name.

The output of a job's commands (`commands.run`) is printed here. Lines are printed immediately; a progress bar, which
would overwrite that of another job, is printed every ten seconds on a terminal and every minute in a file.
"""

from __future__ import annotations

import codecs
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from typing import IO, TypeVar

from flowdistill.errors import UserError

Result = TypeVar("Result")
GRACE = 20.0  # seconds for a command to exit after SIGTERM
_TERMINAL, _FILE = 10.0, 60.0  # seconds between updates of a progress bar
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_BAR = re.compile(r"\d+%\||\d+it \[|it/s|s/it")


class Team:
    """Commands that run in parallel; if one job fails, the commands of the others are stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command for the job `name`; return its exit code.

        Raises:
            UserError: the team was stopped.
        """
        with self._lock:
            if self._stopped:
                raise UserError(f"{name}: not started, since another job failed")
            process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            self._running.add(process)
        assert process.stdout is not None
        printer = Printer(name)
        for text, is_bar in updates(process.stdout):
            printer.show(text, is_bar)
        printer.finish()
        code = process.wait()
        with self._lock:
            self._running.discard(process)
        return code

    def stop(self) -> None:
        """Stop running commands and reject new ones."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        end(running)


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Terminate processes; kill those that have not exited after `GRACE` seconds."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()


_member: ContextVar[tuple[Team, str] | None] = ContextVar("member", default=None)
_place: ContextVar[Mapping[str, str]] = ContextVar("place")


def current() -> tuple[Team, str] | None:
    """Return the team that runs the calling thread's job, and the job's name; None outside a job."""
    return _member.get()


def current_place() -> Mapping[str, str]:
    """Return the environment variables of the calling thread's job."""
    return _place.get({})


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(jobs: Mapping[str, Callable[[], Result]], at_a_time: int | None = None) -> dict[str, Result]:
    """Run jobs, `at_a_time` in parallel (default: one per core); return their results by name, in order.

    With one core, one job, or inside a job, they run one after the other with exclusive use of the terminal.

    Raises:
        UserError: a job failed; the commands of the others were stopped.
    """
    return as_needed(jobs, {}, [{}] * (cores() if at_a_time is None else at_a_time))


def as_needed(
    jobs: Mapping[str, Callable[[], Result]],
    needs: Mapping[str, Collection[str]],
    places: Sequence[Mapping[str, str]],
) -> dict[str, Result]:
    """Run jobs, each as soon as those that it needs are done and a place is free; return their results, in order.

    With one place, one job, or inside a job, they run one after the other with exclusive use of the terminal.

    Args:
        jobs: name -> job, each after those that it needs.
        needs: name -> names of jobs; other names are ignored.
        places: environment variables of each of the jobs that run in parallel, such as the GPUs that they may use.

    Raises:
        UserError: a job failed; the commands of the others were stopped.
    """
    count = min(len(jobs), len(places))
    if count <= 1 or current() is not None:
        return {name: job() for name, job in jobs.items()}
    print(f"{', '.join(jobs)}: {count} at a time", flush=True)
    team, results = Team(), {}
    waiting, free = dict(jobs), list(places)[:count]
    running: dict[Future[Result], tuple[str, Mapping[str, str]]] = {}

    def member(name: str, job: Callable[[], Result], place: Mapping[str, str]) -> Result:
        _member.set((team, name))
        _place.set(place)
        return job()

    with ThreadPoolExecutor(count) as pool:
        try:
            while waiting or running:
                unfinished = {*waiting, *(name for name, _ in running.values())}
                ready = [name for name in waiting if unfinished.isdisjoint(needs.get(name, ()))]
                for name in ready[: len(free)]:
                    place = free.pop(0)
                    running[pool.submit(member, name, waiting.pop(name), place)] = (name, place)
                if not running:
                    raise ValueError(f"jobs that need each other: {', '.join(waiting)}")
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name, place = running.pop(future)
                    results[name] = future.result()
                    free.append(place)
        except BaseException:
            team.stop()
            for future in running:
                future.cancel()
            raise
    return {name: results[name] for name in jobs}


class Printer:
    """Print a job's lines with its name and, at intervals, the state of its progress bar."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.every = _TERMINAL if sys.stdout.isatty() else _FILE
        self._shown = time.monotonic()
        self._waiting: str | None = None

    def show(self, text: str, is_bar: bool) -> None:
        now = time.monotonic()
        if is_bar and now - self._shown < self.every:
            self._waiting = text
            return
        if is_bar:
            self._shown, self._waiting = now, None
        self._print(text)

    def finish(self) -> None:
        """Print the last state of a progress bar, if it is still pending."""
        if self._waiting is not None:
            self._print(self._waiting)
            self._waiting = None

    def _print(self, text: str) -> None:
        # One write: lines of two threads do not mix.
        sys.stdout.write(f"[{self.name}] {text}\n")
        sys.stdout.flush()


def updates(stream: IO[bytes]) -> Iterator[tuple[str, bool]]:
    """Yield the lines that a command prints, immediately, and whether each is a progress bar."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    while chunk := os.read(stream.fileno(), 65536):
        rest += decoder.decode(chunk)
        *complete, rest = re.split(r"[\r\n]", rest)
        yield from filter(None, map(_update, complete))
    if last := _update(rest + decoder.decode(b"", final=True)):
        yield last


def _update(text: str) -> tuple[str, bool] | None:
    text = _ESCAPE.sub("", text).rstrip()
    # A message that follows a bar on its line is not a bar, which may be left out: bars end with a bracket.
    return (text, text.endswith("]") and _BAR.search(text) is not None) if text.strip() else None
