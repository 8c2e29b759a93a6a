"""Divides the configured batch among processes and accumulated steps, so that its total size stays as published."""

from __future__ import annotations

from flowdistill.errors import UserError


def share_of_batch(batch_size: int, processes: int, accumulated: int) -> int:
    """Return the number of samples per process and step.

    Args:
        batch_size: samples per optimizer step.
        processes: number of training processes on all machines.
        accumulated: batches that each process accumulates per optimizer step (`accumulate_grad_batches`).

    Raises:
        UserError: if the batch cannot be divided equally; lists the valid numbers.

    >>> share_of_batch(4, processes=2, accumulated=1)
    2
    """
    parts = processes * accumulated
    if batch_size % parts:
        divisors = [str(number) for number in range(1, batch_size + 1) if batch_size % number == 0]
        each = -(-batch_size // parts)
        raise UserError(
            f"data.init_args.batch_size {batch_size} is the batch of one optimizer step, and {processes} processes "
            f"with accumulate_grad_batches {accumulated} cannot divide it equally: their product must be one of "
            f"{', '.join(divisors)} (trainer.devices x trainer.num_nodes x trainer.accumulate_grad_batches). Or set "
            f"batch_size to a multiple of {parts}, such as {each * parts}, which differs from the published training."
        )
    return batch_size // parts


def in_words(batch_size: int, processes: int, accumulated: int) -> str:
    """Return the description of the batch that is printed at the start of a run."""
    own = share_of_batch(batch_size, processes, accumulated)
    return (
        f"batch of {batch_size} = {processes} process{'es' if processes > 1 else ''} x {accumulated} accumulated "
        f"batch{'es' if accumulated > 1 else ''} x {own} sample{'s' if own > 1 else ''}"
    )
