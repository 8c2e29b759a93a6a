"""Remarks for the person at the terminal: said once, by the first process of a run."""

import os
import sys


def note(text: str) -> None:
    """Print a remark on stderr; the other processes of a distributed run stay silent."""
    # As Lightning looks for it: of torchrun, of Lightning's own launcher, of SLURM.
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    if next((rank for rank in ranks if rank is not None), "0") == "0":
        print(text, file=sys.stderr, flush=True)
