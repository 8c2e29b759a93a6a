"""Checkpoints that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames.

    Lightning's own writes into the temporary folder and moves the file, which is a copy where that is another file
    system: a run that is killed meanwhile would leave half a `last.ckpt`.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".flowdistill-{secrets.token_hex(8)}.tmp")
        try:
            super().save_checkpoint(checkpoint, temporary, storage_options)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
