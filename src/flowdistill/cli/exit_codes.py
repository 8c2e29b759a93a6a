"""Exit codes of the console scripts.

0 success; 1 checks failed, or another process of a training exited; 2 user error; 130 Ctrl-C, 143 SIGTERM, also if a
training saved before it stopped; 141 stdout was closed (SIGPIPE).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from flowdistill.cli.processes import said_by_another
from flowdistill.errors import UserError


def report_user_errors(run: Callable[[], int]) -> int:
    """Run a command; a `UserError` is printed to stderr without a traceback and gives exit code 2."""
    try:
        code = run()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # stdout was closed (`... | head`). Python flushes it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        mistake = _mistake(error)
        if mistake is None:
            raise
        if not said_by_another(mistake):
            print(f"error: {mistake}", file=sys.stderr)
        return 2


def _mistake(error: Exception) -> str | None:
    """Return the message of an error that is the user's; None for a defect of the program."""
    if isinstance(error, PermissionError):  # permissions are up to the user, wherever the error occurs
        return f"{error.filename or error}: {error.strerror}"
    # Triton was requested where it cannot run. Not imported here, because that would import torch.
    backend = sys.modules.get("flowkernels.backend")
    if backend is not None and isinstance(error, backend.BackendError):
        return str(error)
    if not isinstance(error, UserError | ValueError):
        return None
    # jsonargparse wraps exceptions of constructors in a ValueError.
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    return _missing_module_behind(error) if cause is None else str(cause)


def _missing_module_behind(error: BaseException | None) -> str | None:
    """Return an installation hint if a class of the config needs a package that is not installed."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            first = str(error).strip().splitlines()[0]
            name = (error.name or "").partition(".")[0]
            hint = f" (pip install {name})" if name else ""
            return f"a class of the config needs a package that is not installed: {first}{hint}"
        error = error.__cause__ or error.__context__
    return None
