"""Errors meant for the user: what was wrong, where, what to do."""

import re

# torch's DataLoader re-raises a worker's exception as `type(text)`, where the text is a whole traceback.
_WORKER_PREAMBLE = re.compile(r"^Caught \w+ in (DataLoader worker|pin memory thread)")


class UserError(Exception):
    """An error in the user's input. The console scripts print its message and exit with code 2.

    The message states what was wrong, where (file, line, key) and what to do about it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_without_worker_traceback(message, type(self)))


def _without_worker_traceback(message: str, kind: type) -> str:
    """Strip the traceback that a DataLoader worker wraps around an error's message."""
    if not _WORKER_PREAMBLE.match(message):
        return message
    marker = f"{kind.__module__}.{kind.__qualname__}: "
    _, found, text = message.rpartition("\n" + marker)
    return text.strip() if found else message
