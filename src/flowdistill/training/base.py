"""What both LightningModules share: the optimiser, weights of an earlier stage, checks, the log of a step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.interop import init_from, network_weights
from flowdistill.losses.schedule import (
    Schedule,
    Weight,
    as_schedule,
    changing_weights,
    first_empty_step,
    plain,
)
from flowdistill.training.guards import check_finite
from flowdistill.training.optimisers import LearningRate, adam_with_schedule
from flowdistill.training.validation import MotionValidation

# Hyper-parameters that a resumed run may have otherwise than the run before: they do not change what is learned.
MAY_CHANGE = ("init_from", "compile")


class MotionModule(pl.LightningModule, ABC):
    """A network, Adam with a schedule of its learning rate, and an optional start from an earlier stage.

    With `compiled`, `torch.compile` compiles the network (alone) for training steps.
    `view` and `needs_labels` tell the datamodule what to serve; `advice` says what to try when the loss is not finite.
    """

    view: ClassVar[Literal["flow", "scene_flow"]]
    needs_labels: ClassVar[bool]
    advice: ClassVar[str] = "Look at these samples, or lower the learning rate."

    def __init__(
        self,
        network: nn.Module,
        validation: MotionValidation,
        learning_rate: Weight | Mapping[str, Any],
        halve_at: Sequence[int],
        start: str | None,
        compiled: bool,
    ) -> None:
        super().__init__()
        self.network = network
        self.validation = validation
        self.learning_rate = LearningRate(as_schedule("learning_rate", learning_rate), tuple(halve_at))
        self._start = start
        self._restored = False
        self._compiled = compiled

    @abstractmethod
    def schedules(self) -> dict[str, Schedule]:
        """Every weight of the loss, by the name that its logs have."""

    def taught_by(self) -> dict[str, Schedule]:
        """The weights of which one must be positive at every step, or there is nothing to learn from."""
        return self.schedules()

    def setup(self, stage: str) -> None:
        if self.trainer.precision in ("16-true", "bf16-true"):
            raise UserError(
                f"trainer.precision {self.trainer.precision} would round labels and motions to half precision: take "
                "bf16-mixed or 16-mixed (configs/trainer/precision/), which leave these in float32"
            )
        if stage == "fit":
            limit = self.trainer.max_steps
            empty = first_empty_step(self.taught_by(), limit if limit >= 0 else None)
            if empty is not None:
                names = ", ".join(self.taught_by())
                raise UserError(f"every weight ({names}) is 0 at step {empty}: there is nothing to train on")

    # Not in __init__ nor in setup: these come before a checkpoint is loaded, and where one is, the earlier stage's file
    # may be gone.
    def on_fit_start(self) -> None:
        self._start_from()
        if self._compiled:
            # In place, so that the names of weights in checkpoints stay. The work is done by the first step.
            self.network.compile()

    def on_validation_start(self) -> None:
        self._start_from()

    def on_test_start(self) -> None:
        self._start_from()

    def on_predict_start(self) -> None:
        self._start_from()

    def _start_from(self) -> None:
        if self._start is not None and not self._restored:
            rank_zero_info(init_from(self.network, self._start))
        self._start = None  # once: a later pass of the same process keeps what was learned

    def run_network(self, *images: Tensor) -> Any:
        """The network's output, of the compiled network in training steps if `compile` asks for it.

        Evaluation sees images of many sizes, each of which would be compiled anew, for minutes.
        """
        return self.network(*images) if self.training else self.network.forward(*images)

    def keep_settings(self, **settings: Any) -> None:
        """Add settings to the hyper-parameters in a form that a checkpoint can hold."""
        self.save_hyperparameters({name: plain(value) for name, value in settings.items()})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another network; when resuming, one that was trained by other settings, too."""
        network_weights(checkpoint, self.network, "--ckpt_path: the checkpoint")
        self._restored = True
        if not self.fits:
            return
        stored = checkpoint.get("hyper_parameters", {})
        own = {name: value for name, value in self.hparams.items() if name not in MAY_CHANGE}
        changed = [name for name in own if name in stored and not _same(stored[name], own[name])]
        if changed:
            listed = ", ".join(f"{name} (was {stored[name]}, is {own[name]})" for name in changed)
            raise UserError(
                f"--ckpt_path resumes a run with the settings it had, but these differ: {listed}. To start a new "
                "stage from its weights, use --model.init_args.init_from instead."
            )

    @property
    def fits(self) -> bool:
        """Whether this is for `lightning fit`; a checkpoint that is loaded is then one to go on from."""
        return self._trainer is not None and self._trainer.state.fn == "fit"

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return adam_with_schedule(self.network.parameters(), self.learning_rate)

    def log_step(
        self, loss: Tensor, terms: dict[str, Tensor], batch: Batch, idle: Iterable[str] = ()
    ) -> None:
        """Check that the loss and its terms are finite; log them under `train/`, weights that change under `weight/`.

        `idle` terms, which other steps compute, are logged as NaN: Lightning would repeat their last value for ever.
        """
        check_finite({"loss": loss, **terms}, batch, self.global_step, self.advice)
        size = len(batch["name"])
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=size)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, batch_size=size)
        self.log_dict({f"train/{name}": math.nan for name in idle}, batch_size=size)
        weights = changing_weights(self.schedules(), self.global_step)
        self.log_dict({f"weight/{name}": value for name, value in weights.items()}, batch_size=size)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> None:
        self.log_dict({f"{stage}/{name}": value for name, value in self.validation.compute().items()})
        self.validation.reset()


def _same(stored: Any, own: Any) -> bool:
    """Equal, whether a sequence came from YAML (list) or from Python (tuple)."""
    if isinstance(stored, list | tuple) and isinstance(own, list | tuple):
        return list(stored) == list(own)
    return bool(stored == own)
