"""Processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

from flowdistill.errors import UserError

ENDS_WITH_PARENT = "FLOWDISTILL_ENDS_WITH_PARENT"
"""Set by recipes: `lightning` exits together with the process that started it, and so do the ranks it starts."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent exits, even by SIGKILL, which a parent cannot handle.

    A recipe that is killed and restarted must not find its old training still writing to the same folder. Only Linux
    supports this; elsewhere the running command continues to its end.

    Args:
        parent: the process id of the parent, which may already have exited.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def local_rank() -> int:
    """Return the local rank of this process, as set by torchrun in the environment; 0 without torchrun.

    Raises:
        UserError: LOCAL_RANK is not a number.
    """
    return number_from_environment("LOCAL_RANK", 0)


def number_from_environment(name: str, default: int) -> int:
    """Return a number that torchrun sets in the environment. Raises UserError if it is not a number."""
    text = os.environ.get(name, str(default))
    if not text.isdigit():
        raise UserError(f"environment variable {name} is {text!r}; torchrun sets it to a number")
    return int(text)


def start_worker(parent: int) -> None:
    """Initialise a pool worker: one thread, killed together with its parent, as it would wait forever otherwise."""
    import cv2

    die_with_parent(parent)
    cv2.setNumThreads(1)


# `python -m flowdistill.processes PARENT MODULE ARGUMENTS...` runs `python -m MODULE ARGUMENTS...`, which is killed
# when PARENT exits.
if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    module = sys.argv[2]
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
