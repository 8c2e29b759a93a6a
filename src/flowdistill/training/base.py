"""What both LightningModules share: the optimiser, weights of an earlier stage, the log of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from flowdistill.data.sample import Batch
from flowdistill.interop import init_from
from flowdistill.training.guards import check_finite
from flowdistill.training.optimisers import adam_with_halvings


class MotionModule(pl.LightningModule):
    """A network, Adam with halvings of the learning rate, and an optional start from an earlier stage.

    `view` and `needs_labels` tell the datamodule what to serve.
    """

    view: ClassVar[Literal["flow", "scene_flow"]]
    needs_labels: ClassVar[bool]

    def __init__(
        self, network: nn.Module, learning_rate: float, halve_at: Sequence[int], start: str | None
    ) -> None:
        super().__init__()
        self.network = network
        self._learning_rate = learning_rate
        self._halve_at = tuple(halve_at)
        self._start = start

    def setup(self, stage: str) -> None:
        # Not in __init__: a checkpoint of this run must load where the earlier stage's file is gone.
        if stage == "fit" and self._start is not None and self.trainer.ckpt_path is None:
            rank_zero_info(init_from(self.network, self._start))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return adam_with_halvings(self.network.parameters(), self._learning_rate, self._halve_at)

    def log_step(self, loss: Tensor, terms: dict[str, Tensor], batch: Batch) -> None:
        """Check that the loss and its terms are finite and log them under `train/`."""
        check_finite({"loss": loss, **terms}, batch, self.global_step)
        size = len(batch["name"])
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=size)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, batch_size=size)
