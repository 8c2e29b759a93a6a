"""Lines of Lightning that are of no use to anybody who runs `lightning`: exactly these are left out."""

from __future__ import annotations

import logging
import warnings

# Of its loggers: advertisements, hardware that nobody asked for, and what it says on saving whatever is saved.
_LINES = ("💡 Tip:", "TPU available:", "`weights_only` was not set")
_LOGGERS = (
    "pytorch_lightning.utilities.rank_zero",
    "lightning_fabric.utilities.rank_zero",
    "pytorch_lightning.trainer.connectors.checkpoint_connector",
)
_WARNINGS = (
    # Our metrics are synchronised before they are logged.
    r"It is recommended to use `self\.log\('(val|test)/.*sync_dist=True\)`",
    # A training without validation; the run says so in its own words.
    r"Total length of `list` across ranks is zero",
    # Of commands that read a config for themselves.
    r"LightningCLI's args parameter is intended to run from within Python",
    # A folder that holds a run is refused, gone on in, or cleared before.
    r"Experiment logs directory .* exists and is not empty",
    # Of PyTorch's internals, inside of Lightning.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)


def leave_out_noise() -> None:
    """Filter them, in this process."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(filtered is _is_of_use for filtered in logger.filters):
            logger.addFilter(_is_of_use)
    for pattern in _WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)


def _is_of_use(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip().startswith(_LINES)
