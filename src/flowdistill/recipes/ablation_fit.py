"""The ablation's runs, several at a time if wanted: then each is a process of its own that prints into a log file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.recipes.commands import finished, train


@dataclass(frozen=True)
class Fit:
    """What `commands.train` takes; a run with other settings is refused.

    Attributes:
        folder: of the run.
        arguments: of `lightning fit`.
        files: whose contents count as settings.
    """

    folder: Path
    arguments: Sequence[str]
    files: Sequence[Path]

    def run(self) -> Path:
        """Train, or go on, unless it is done; returns the last checkpoint. Raises UserError if the run fails."""
        return train(self.folder, self.arguments, files=self.files, neutral=["--model.init_args.init_from"])

    @property
    def log(self) -> Path:
        """What the run prints, where several run at a time: beside its folder, which may be deleted."""
        return self.folder.with_name(f"{self.folder.name}.log")


def fits(work: Sequence[Fit], jobs: int) -> Iterator[Path]:
    """The last checkpoint of each, in order.

    Args:
        work: the runs.
        jobs: how many at a time. One runs in the foreground, when its turn comes; more run ahead, with log files.

    Raises:
        UserError: a run failed. Those that have begun end first; the others do not begin.
    """
    if jobs == 1:
        yield from (fit.run() for fit in work)
        return
    pool = ThreadPoolExecutor(jobs)
    try:
        for future in [pool.submit(_in_background, fit) for fit in work]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _in_background(fit: Fit) -> Path:
    started = time.monotonic()
    print(f"{fit.folder}: begins, prints into {fit.log}", flush=True)
    fit.log.parent.mkdir(parents=True, exist_ok=True)
    task = json.dumps([str(fit.folder), list(fit.arguments), [str(path) for path in fit.files]])
    # A process of its own, since a thread cannot send what `commands.run` prints to a file of its own.
    guard = [sys.executable, "-m", "flowdistill.processes", str(os.getpid())]
    with fit.log.open("a") as log:
        code = subprocess.run(
            [*guard, "flowdistill.recipes.ablation_fit", task], check=False, stdout=log, stderr=log
        ).returncode
    if code != 0:
        raise UserError(f"the run in {fit.folder} ended with code {code}; its message is in {fit.log}")
    print(f"{fit.folder}: done, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    checkpoint = finished(fit.folder)
    assert checkpoint is not None
    return checkpoint


def _main(task: str) -> int:
    folder, arguments, files = json.loads(task)
    try:
        Fit(Path(folder), arguments, [Path(file) for file in files]).run()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1]))
