"""Whether float32 convolutions and matrix products may round their inputs to TF32, set explicitly."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback


class Tf32(Callback):
    """Sets TF32 for the process before the first kernel runs. It has no effect on a CPU.

    PyTorch's defaults differ by operation: convolutions use TF32, matrix products do not. TF32 keeps 10 bits of the
    mantissa of inputs, and GPUs before Ampere, on which the released codes ran, do not have it. Labels, losses and
    coordinates are never computed in TF32, whatever this says (`ops/precision.py`).

    Args:
        enabled: false: full float32, as in the released codes. true: TF32 for both, faster on GPUs that have it.

    Examples:
        >>> import torch
        >>> from flowdistill.training import Tf32
        >>> Tf32(enabled=False).setup(None, None, "fit")
        >>> torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
        (False, 'highest')
    """

    def __init__(self, enabled: bool = False) -> None:
        self.enabled = enabled

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Only the functions that exist from the oldest supported PyTorch on: after one of the newer settings
        # (fp32_precision), reading allow_tf32 as torch.compile does is an error.
        torch.backends.cudnn.allow_tf32 = self.enabled
        torch.set_float32_matmul_precision("high" if self.enabled else "highest")
