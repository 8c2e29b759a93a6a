"""Suppress those lines of Lightning that are of no use to users of `lightning`, and no others."""

from __future__ import annotations

import logging
import warnings

# Logger lines: advertisements, hardware that was not requested, and a notice that appears for every checkpoint.
_LINES = ("💡 Tip:", "TPU available:", "`weights_only` was not set")
_LOGGERS = (
    "pytorch_lightning.utilities.rank_zero",
    "lightning_fabric.utilities.rank_zero",
    "pytorch_lightning.trainer.connectors.checkpoint_connector",
)
_WARNINGS = (
    # Our metrics are synchronised before they are logged.
    r"It is recommended to use `self\.log\('(val|test)/.*sync_dist=True\)`",
    # Training without validation, which the run reports itself.
    r"Total length of `list` across ranks is zero",
    # From commands that parse a config themselves.
    r"LightningCLI's args parameter is intended to run from within Python",
    # An existing run's folder has already been rejected, resumed or cleared.
    r"Experiment logs directory .* exists and is not empty",
    # From Lightning's use of PyTorch internals.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)


def leave_out_noise() -> None:
    """Filter these lines in this process."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_of_use)  # once, also if it is called again
    for pattern in _WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)


def _is_of_use(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip().startswith(_LINES)
