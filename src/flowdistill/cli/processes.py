"""Processes of one training: none outlives the others, and the reason for their exit is reported once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
from typing import Any

from flowdistill.processes import ENDS_WITH_PARENT
from flowdistill.stopping import say, signals

# Seconds for the others to exit on their own: they may have the same error and a run card to write.
GRACE = 15.0
_POLL = 0.2


def watch_children() -> None:
    """Monitor the processes that Lightning starts, in place of Lightning's observer.

    That observer kills all processes, including its own, five seconds after one process has exited with an error: no
    run card is written then, and the exit code is that of SIGKILL.
    """
    from pytorch_lightning.strategies.launchers import subprocess_script

    launcher = subprocess_script._SubprocessScriptLauncher
    start = launcher._call_children_scripts
    if getattr(start, "ends_with_parent", False):
        return  # a process may run several commands

    def start_children(self: Any) -> None:
        # The ranks exit with this process, even on SIGKILL; Lightning passes them this environment.
        before = os.environ.get(ENDS_WITH_PARENT)
        os.environ[ENDS_WITH_PARENT] = "1"
        try:
            start(self)
        finally:
            if before is None:
                del os.environ[ENDS_WITH_PARENT]

    start_children.ends_with_parent = True  # type: ignore[attr-defined]
    launcher._call_children_scripts = start_children  # type: ignore[method-assign]

    def launch(children: list[subprocess.Popen[bytes]]) -> None:
        signals.children = children
        threading.Thread(target=_watch, args=(children,), daemon=True, name="ranks").start()

    subprocess_script._launch_process_observer = launch  # type: ignore[assignment]


def _watch(children: list[subprocess.Popen[bytes]]) -> None:
    while True:
        time.sleep(_POLL)
        codes = [child.poll() for child in children]
        if all(code == 0 for code in codes):
            return
        failed = [(child.pid, code) for child, code in zip(children, codes, strict=True) if code]
        if failed:
            break
    # This process exits on its own if it has the same error or loses its connection, but not while it waits for a GPU.
    time.sleep(GRACE)
    pid, code = failed[0]
    say(f"error: process {pid} of this training exited with code {code}; killing the others, too")
    signals.end_children()
    os._exit(code if code > 0 else 128 - code)


def end_with_children(grace: float) -> None:
    """Wait up to `grace` seconds for the processes that this one started, then kill them."""
    deadline = time.monotonic() + grace
    for child in signals.children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline - time.monotonic()))
    signals.end_children()


def failed_child() -> int | None:
    """Return the exit code of a failed child process, waiting for one for a few seconds."""
    deadline = time.monotonic() + 5.0
    while signals.children and time.monotonic() < deadline:
        for child in signals.children:
            if (code := child.poll()) not in (None, 0):
                return code if code > 0 else 128 - code
        time.sleep(_POLL)
    return None


def said_by_another(text: str) -> bool:
    """Whether another process of this training has already reported this text; to be called once per text.

    If all processes fail with the same error, one message is enough. False if they cannot be reached.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return False
    key = "said " + hashlib.sha256(text.encode()).hexdigest()
    try:
        store = distributed.distributed_c10d._get_default_store()
        return int(store.add(key, 1)) > 1
    except RuntimeError:  # the process that hosts the store has exited
        return False


def end_after_lost_connection(error: RuntimeError) -> None:
    """If a collective failed because another process exited, report it in one line and exit with that one's code."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None:
        return
    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo/transport")
    kinds = (distributed.DistBackendError, distributed.DistNetworkError)
    if not isinstance(error, kinds) and not any(word in str(error) for word in words):
        return
    code = failed_child()
    if code is not None:
        say(f"another process of this training exited with code {code}; its message is above")
        raise SystemExit(code) from error
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    say(
        "error: another process of this training exited, so this one cannot continue; the reason is in that process's "
        f"output (seen by rank {os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))}: {reason})"
    )
    raise SystemExit(1) from error
