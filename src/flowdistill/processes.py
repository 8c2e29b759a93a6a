"""Processes that do not outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

from flowdistill.errors import UserError

ENDS_WITH_PARENT = "FLOWDISTILL_ENDS_WITH_PARENT"
"""Set by recipes: `lightning` ends with the process that started it, and so do the ranks that it starts itself."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, even by SIGKILL, which no parent can react to.

    A recipe that is killed and started again must not find its old training still writing into the same folder. Only
    Linux can do this; elsewhere the command that ran goes on to its end.

    Args:
        parent: the process id of the parent, which may be gone already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def local_rank() -> int:
    """This process's number on its machine, as torchrun sets it in the environment; 0 without torchrun.

    Raises:
        UserError: it is not a number.
    """
    return number_from_environment("LOCAL_RANK", 0)


def number_from_environment(name: str, default: int) -> int:
    """A number that torchrun sets in the environment. Raises UserError where it is something else."""
    text = os.environ.get(name, str(default))
    if not text.isdigit():
        raise UserError(f"the environment's {name} is {text!r}; torchrun sets it to a number")
    return int(text)


def start_worker(parent: int) -> None:
    """Initialise a process of a pool: one thread, and an end when its owner is killed, else it waits for ever."""
    import cv2

    die_with_parent(parent)
    cv2.setNumThreads(1)


# `python -m flowdistill.processes PARENT MODULE ARGUMENTS...` is `python -m MODULE ARGUMENTS...` that ends with PARENT.
if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    module = sys.argv[2]
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
