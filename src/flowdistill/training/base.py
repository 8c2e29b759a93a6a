"""What both LightningModules share: the optimiser, weights of an earlier stage, checks, the log of a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.interop import init_from, network_weights
from flowdistill.training.guards import check_finite
from flowdistill.training.optimisers import adam_with_halvings
from flowdistill.training.validation import MotionValidation


class MotionModule(pl.LightningModule):
    """A network, Adam with halvings of the learning rate, and an optional start from an earlier stage.

    `view` and `needs_labels` tell the datamodule what to serve; `advice` says what to try when the loss is not finite.
    """

    view: ClassVar[Literal["flow", "scene_flow"]]
    needs_labels: ClassVar[bool]
    advice: ClassVar[str] = "Look at these samples, or lower the learning rate."

    def __init__(
        self,
        network: nn.Module,
        validation: MotionValidation,
        learning_rate: float,
        halve_at: Sequence[int],
        start: str | None,
    ) -> None:
        super().__init__()
        check_number("learning_rate", learning_rate)
        self.network = network
        self.validation = validation
        self._learning_rate = learning_rate
        self._halve_at = tuple(halve_at)
        self._start = start

    def setup(self, stage: str) -> None:
        # Not in __init__: a checkpoint of this run must load where the earlier stage's file is gone.
        if self._start is not None and self.trainer.ckpt_path is None:
            rank_zero_info(init_from(self.network, self._start))
            self._start = None  # once: a later pass of the same process keeps what was learned

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another network; when resuming, one that was trained by other settings, too."""
        network_weights(checkpoint, self.network, "--ckpt_path: the checkpoint")
        if self._trainer is None or self._trainer.state.fn != "fit":
            return
        stored = checkpoint.get("hyper_parameters", {})
        own = {name: value for name, value in self.hparams.items() if name != "init_from"}
        changed = [name for name in own if name in stored and not _same(stored[name], own[name])]
        if changed:
            listed = ", ".join(f"{name} (was {stored[name]}, is {own[name]})" for name in changed)
            raise UserError(
                f"--ckpt_path resumes a run with the settings it had, but these differ: {listed}. To start a new "
                "stage from its weights, use --model.init_args.init_from instead."
            )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return adam_with_halvings(self.network.parameters(), self._learning_rate, self._halve_at)

    def log_step(self, loss: Tensor, terms: dict[str, Tensor], batch: Batch) -> None:
        """Check that the loss and its terms are finite and log them under `train/`."""
        check_finite({"loss": loss, **terms}, batch, self.global_step, self.advice)
        size = len(batch["name"])
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=size)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, batch_size=size)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> None:
        self.log_dict({f"{stage}/{name}": value for name, value in self.validation.compute().items()})
        self.validation.reset()


def check_number(name: str, value: float, positive: bool = False) -> None:
    """Raise `UserError` unless a setting is finite and not negative (or positive)."""
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise UserError(f"{name} must be {'positive' if positive else '0 or more'} and finite, got {value}")


def _same(stored: Any, own: Any) -> bool:
    """Equal, whether a sequence came from YAML (list) or from Python (tuple)."""
    if isinstance(stored, list | tuple) and isinstance(own, list | tuple):
        return list(stored) == list(own)
    return bool(stored == own)
