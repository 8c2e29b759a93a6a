"""A batch is what the paper says, whatever computes it: processes and accumulated steps share it."""

from __future__ import annotations

from flowdistill.errors import UserError


def share_of_batch(batch_size: int, processes: int, accumulated: int) -> int:
    """Samples that one process takes at a time.

    Args:
        batch_size: samples of one optimizer step.
        processes: of the training, on all machines.
        accumulated: batches that each adds up before an optimizer step (`accumulate_grad_batches`).

    Raises:
        UserError: it cannot be shared equally; names the numbers that can.

    >>> share_of_batch(4, processes=2, accumulated=1)
    2
    """
    parts = processes * accumulated
    if batch_size % parts:
        divisors = [str(number) for number in range(1, batch_size + 1) if batch_size % number == 0]
        each = -(-batch_size // parts)
        raise UserError(
            f"data.init_args.batch_size {batch_size} is the batch of one optimizer step, and {processes} processes "
            f"with accumulate_grad_batches {accumulated} cannot share it equally: their product must be one of "
            f"{', '.join(divisors)} (trainer.devices x trainer.num_nodes x trainer.accumulate_grad_batches). Or set "
            f"batch_size to a multiple of {parts}, such as {each * parts}, which trains otherwise than published."
        )
    return batch_size // parts


def in_words(batch_size: int, processes: int, accumulated: int) -> str:
    """What the run says when it starts."""
    own = share_of_batch(batch_size, processes, accumulated)
    return (
        f"batch of {batch_size} = {processes} process{'es' if processes > 1 else ''} x {accumulated} accumulated "
        f"batch{'es' if accumulated > 1 else ''} x {own} sample{'s' if own > 1 else ''}"
    )
