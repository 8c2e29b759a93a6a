"""Messages printed on rank 0 only."""

import os
import sys


def note(text: str) -> None:
    """Print a message on stderr, on rank 0 only."""
    # The variables that Lightning uses: set by torchrun, by Lightning's own launcher, by SLURM.
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    if next((rank for rank in ranks if rank is not None), "0") == "0":
        print(text, file=sys.stderr, flush=True)
