"""Remarks for the person at the terminal: said once, by the first process of a run."""

import os
import sys


def note(text: str) -> None:
    """Print a remark on stderr; the other processes of a distributed run stay silent."""
    rank = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))
    if rank == "0":
        print(text, file=sys.stderr, flush=True)
