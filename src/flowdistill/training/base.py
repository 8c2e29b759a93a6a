"""Base class of both LightningModules: optimiser, initial weights from an earlier stage, checks, logging.

Between two logged steps the host never waits for the device: a step's values stay on the device, and are read, checked
and logged together (`trainer.log_every_n_steps`), before each validation and each checkpoint, and at the end.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from flowdistill import renamed
from flowdistill.data.notes import note
from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.losses.schedule import (
    Schedule,
    Weight,
    as_schedule,
    first_step_without_loss,
    plain_weights,
)
from flowdistill.training.guards import GRADIENT, GRADIENT_NORM, check_weights, non_finite
from flowdistill.training.init_from import init_from, network_weights
from flowdistill.training.non_finite import NonFinitePolicy
from flowdistill.training.optimisers import (
    LearningRate,
    adam_with_schedule,
    gradient_norm,
    largest_gradient,
    skip_unless_finite,
)
from flowdistill.training.progress import (
    TRAIN_ROW,
    row_to_come,
    validate_on_resume,
    validation_is_owed,
)
from flowdistill.training.ranks import expect_idle_parameters
from flowdistill.training.recent_steps import BatchOrigin, RecentStep, RecentSteps, nan_unless_finite
from flowdistill.training.validation import MotionValidation

# Hyper-parameters that may change when a run is resumed: they do not affect what is learned.
MAY_CHANGE = ("init_from", "compile", "checkpoint_activations", "skip_non_finite")
DEVICES = ("cpu", "cuda", "meta")
NON_FINITE = "non_finite"  # checkpoint key: the skipped steps


class MotionModule(pl.LightningModule, ABC):
    """A network, Adam with a learning-rate schedule, and optional initial weights from an earlier stage.

    With `compiled`, `torch.compile` compiles the network (only) for training steps. With `recomputing`, backward
    recomputes the decoders instead of storing their activations.
    `view` and `needs_labels` define what the datamodule provides; `advice` is what to try when the loss is not finite.
    """

    view: ClassVar[Literal["flow", "scene_flow"]]
    needs_labels: ClassVar[bool]
    extra_weights: ClassVar[tuple[str, ...]] = ()  # prefixes of names in checkpoints, besides network.
    advice: ClassVar[str] = "Look at these samples, or lower the learning rate."

    def __init__(
        self,
        network: nn.Module,
        validation: MotionValidation,
        learning_rate: Weight | Mapping[str, Any],
        halve_at: Sequence[int],
        start: str | None,
        compiled: bool,
        recomputing: bool,
        skip_non_finite: int,
    ) -> None:
        super().__init__()
        network.checkpoint_activations = recomputing  # type: ignore[assignment]
        self.network: nn.Module = network
        self.validation = validation
        self.learning_rate = LearningRate(as_schedule("learning_rate", learning_rate), tuple(halve_at))
        self.recent_steps = RecentSteps()
        self._start = start
        self._restored = False
        self._compiled = compiled
        self.non_finite_steps = NonFinitePolicy(skip_non_finite, self.advice)

    def trained_networks(self) -> list[nn.Module]:
        """The networks that the optimiser updates: the network, and with it a teacher that is trained along."""
        return [self.network]

    def trained_parameters(self) -> list[Tensor]:
        """Their weights, in the order in which the optimiser has them."""
        return [weight for network in self.trained_networks() for weight in network.parameters()]

    @abstractmethod
    def schedules(self) -> dict[str, Schedule]:
        """Every loss weight, by its logged name."""

    @abstractmethod
    def term_names(self) -> list[str]:
        """Logged names of all terms that any step of a run computes."""

    def data_terms(self) -> dict[str, Schedule]:
        """The weights of which at least one must be positive at every step, to give a training signal."""
        return self.schedules()

    def has_idle_parameters(self, steps: int | None) -> bool:
        """Whether any of the first `steps` steps (None: of all) leaves some network weights without a gradient."""
        return False

    def setup(self, stage: str) -> None:
        device = self.trainer.strategy.root_device.type
        if device not in DEVICES:
            raise UserError(
                f"this run would use the device {device!r}, on which training is not supported (its gradients need "
                "float64): use --trainer.accelerator cpu, or a CUDA GPU"
            )
        if self.trainer.precision in ("16-true", "bf16-true"):
            raise UserError(
                f"trainer.precision {self.trainer.precision} would round labels and motions to half precision: use "
                "bf16-mixed or 16-mixed (configs/trainer/precision/), which keep these in float32"
            )
        if stage == "fit":
            limit = self.trainer.max_steps
            empty = first_step_without_loss(self.data_terms(), limit if limit >= 0 else None)
            if empty is not None:
                names = ", ".join(self.data_terms())
                raise UserError(f"every weight ({names}) is 0 at step {empty}: there is nothing to train on")
            if self.has_idle_parameters(limit if limit >= 0 else None):
                expect_idle_parameters(self.trainer.strategy)

    # Not in __init__ or setup: these run before a checkpoint is loaded, and if one is loaded, the earlier stage's file
    # may no longer exist.
    def on_fit_start(self) -> None:
        self._start_from()
        if self._compiled:
            # In place, to keep the names of weights in checkpoints. The first step does the compilation.
            for network in self.trained_networks():
                network.compile()

    def on_validation_start(self) -> None:
        self._start_from()
        self.read_steps()

    def on_test_start(self) -> None:
        self._start_from()

    def on_predict_start(self) -> None:
        self._start_from()

    def _start_from(self) -> None:
        if self._start is not None and not self._restored:
            rank_zero_info(init_from(self.network, self._start))
        self._start = None  # once: a later pass in the same process keeps the trained weights

    def run_network(self, *images: Tensor) -> Any:
        """Run the network, in evaluation the evaluated one; with `compile`, training steps use the compiled network.

        Evaluation has images of many sizes, each of which would trigger a recompilation that takes minutes.
        """
        return self.network(*images) if self.training else self.evaluated_network.forward(*images)

    @property
    def evaluated_network(self) -> nn.Module:
        """The network that validation, test and prediction run."""
        return self.network

    def save_plain_hyperparameters(self, **settings: Any) -> None:
        """Add settings to the hyper-parameters in a form that a checkpoint can hold."""
        self.save_hyperparameters({name: plain_weights(value) for name, value in settings.items()})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Reject a checkpoint of another network and, when resuming, one trained with other settings."""
        network_weights(checkpoint, self.network, "--ckpt_path: the checkpoint")
        known = ("network.", *self.extra_weights)
        others = [name for name in checkpoint["state_dict"] if not name.startswith(known)]
        if others:
            raise UserError(
                f"--ckpt_path: the checkpoint has weights that {type(self).__name__} does not have: "
                f"{', '.join(others[:3])}{' ...' if len(others) > 3 else ''}. To load only its network, use "
                "--model.init_args.init_from."
            )
        self._restored = True
        # Version 0.1 used another checkpoint callback, whose state is no longer needed.
        callbacks = checkpoint.get("callbacks", {})
        for key in [key for key in callbacks if key.startswith("Checkpoints{")]:
            del callbacks[key]
        if not self.fits:
            return
        changed = ", ".join(self.changed_settings(checkpoint))
        if changed and not self.accepts_changes:
            raise UserError(
                f"--ckpt_path resumes a run with its original settings, but these differ: {changed}. To start a new "
                "stage from its weights, use --model.init_args.init_from instead; to resume anyway, "
                "--resume.changed accept."
            )
        self.non_finite_steps.restore(checkpoint.get(NON_FINITE, {}))
        if changed:
            note(f"resuming with changed settings: {changed}")

    @property
    def accepts_changes(self) -> bool:
        """Whether changed settings are accepted (`--resume.changed accept`)."""
        callbacks = getattr(self._trainer, "callbacks", [])
        return any(getattr(callback, "accepts_changes", False) for callback in callbacks)

    def changed_settings(self, checkpoint: Mapping[str, Any]) -> list[str]:
        """Describe the settings in which a checkpoint's run differs from this model."""
        stored = self.comparable(renamed.settings(checkpoint.get("hyper_parameters", {})))
        own = {name: v for name, v in self.comparable(dict(self.hparams)).items() if name not in MAY_CHANGE}
        return [
            f"{name} (was {stored[name]}, is {own[name]})"
            for name in own
            if name in stored and not _same(stored[name], own[name])
        ]

    def comparable(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Hyper-parameters with one spelling for what has several."""
        return settings

    @property
    def fits(self) -> bool:
        """Whether this runs in `lightning fit`, where loading a checkpoint means resuming from it."""
        return self._trainer is not None and self._trainer.state.fn == "fit"

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        return adam_with_schedule(self.trained_parameters(), self.learning_rate)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip each trained network by its own norm, so that none changes the step of another."""
        networks = self.trained_networks()
        by_norm = gradient_clip_algorithm in (None, "norm")
        # float16's scaled gradients: Lightning refuses to clip them where the optimizer unscales them by itself.
        still_scaled = self.trainer.scaler is not None and hasattr(optimizer, "_step_supports_amp_scaling")
        if len(networks) == 1 or not by_norm or not gradient_clip_val or still_scaled:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        for network in networks:
            torch.nn.utils.clip_grad_norm_(network.parameters(), gradient_clip_val)

    def guarded(self, loss: Tensor, terms: Mapping[str, Tensor], batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss for `training_step`, or NaN if the loss or one of its terms is not finite.

        Keeps the values, all scalars, for the next read. They are checked on the device: a NaN that reaches the
        gradient, in this process or another, makes the optimizer skip the step.
        """
        origin = BatchOrigin(tuple(batch["name"]), *self.batch_identity(batch_idx))
        values = self.recent_steps.add(self.global_step, origin, {"loss": loss, **terms})
        return loss * nan_unless_finite(values)

    def batch_identity(self, batch_idx: int) -> tuple[int, int, int]:
        """(batch number in this process since the start of the run, rank, data seed or 0)."""
        accumulated = self.trainer.accumulate_grad_batches
        return self.global_step * accumulated + batch_idx % accumulated, self.global_rank, self.data_seed

    @property
    def data_seed(self) -> int:
        """The datamodule's seed; 0 if it has none."""
        return int(getattr(getattr(self.trainer, "datamodule", None), "seed", 0))

    # After the backward pass: by then the whole step is queued on the device while the host reads.
    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # float16's scaler checks by itself before it unscales the gradients: it tries factors that overflow.
        if self.trainer.scaler is None:
            largest = largest_gradient(self.trained_parameters())
            self.recent_steps.add_to_newest(GRADIENT, largest)
            skip_unless_finite(optimizer, largest)
        self.recent_steps.add_to_newest(GRADIENT_NORM, gradient_norm(self.network.parameters()))
        if self.trainer._logger_connector.should_update_logs or self.recent_steps.full:
            self._log_newest(self.read_steps())

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.trainer.should_stop:  # just set by a callback: Lightning logs this step, too
            self._log_newest(self.read_steps())

    def on_train_end(self) -> None:
        self.read_steps()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check the weights before they are written, and add what resuming needs."""
        self.read_steps()
        check_weights(dict(self.named_parameters()), self.global_step)
        if self.fits and "loops" in checkpoint:
            if validation_is_owed(self.trainer):
                validate_on_resume(checkpoint)
            checkpoint[TRAIN_ROW] = row_to_come(self.trainer)
            checkpoint[NON_FINITE] = self.non_finite_steps.state()

    def read_steps(self) -> list[RecentStep]:
        """Wait for the steps since the last read and check them. Must be called on all processes at the same steps.

        Raises:
            NonFiniteLossError: a loss or a term was not finite, in any process; all of them raise.
        """
        if not len(self.recent_steps):  # the same on every process
            return []
        together = self.trainer.world_size > 1
        steps = self.recent_steps.read(self._mean_over_processes if together else None)
        self.check_steps(steps)
        return steps

    def check_steps(self, steps: Sequence[RecentStep]) -> None:
        """Check the steps that were read; raise if one is not finite."""
        found = non_finite(steps, self._from_all_processes)
        if found:
            self.non_finite_steps.handle(found, self.trainer, self._from_all_processes)

    def _mean_over_processes(self, value: Tensor) -> Tensor:
        mean = self.trainer.strategy.reduce(value, reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean

    def _from_all_processes(self, text: str) -> list[str]:
        texts = [text] * self.trainer.world_size
        if len(texts) > 1:
            torch.distributed.all_gather_object(texts, text)
        return texts

    def _log_newest(self, steps: Sequence[RecentStep]) -> None:
        """Log values under `train/`, averaged over all processes, and every loss weight under `weight/`.

        A term that this step did not compute is logged as NaN: otherwise Lightning would keep logging its last value.
        """
        if not steps:
            return
        newest = steps[-1]
        parts = [step.means for step in steps if step.step == newest.step]  # its accumulated batches
        once = (GRADIENT, GRADIENT_NORM)  # once for all of them
        means = {
            name: sum(part[name] for part in parts) / len(parts) for name in newest.means if name not in once
        }
        values = dict.fromkeys(self.term_names(), math.nan) | means
        values[GRADIENT_NORM] = newest.means.get(GRADIENT_NORM, math.nan)
        logged = {f"train/{name}": value for name, value in values.items() if name != "loss"}
        logged |= {f"weight/{name}": weight.at(newest.step) for name, weight in self.schedules().items()}
        # As tensors on the host: Lightning copies a float to the device, and the progress bar reads it back at every
        # step.
        self.log("train/loss", torch.tensor(values["loss"]), prog_bar=True)
        self.log_dict({name: torch.tensor(value) for name, value in logged.items()})

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> None:
        self.log_dict({f"{stage}/{name}": value for name, value in self.validation.compute().items()})
        self.validation.reset()


def _same(stored: Any, own: Any) -> bool:
    """Compare values; sequences from YAML (list) and from Python (tuple) may be equal."""
    if isinstance(stored, list | tuple) and isinstance(own, list | tuple):
        return list(stored) == list(own)
    return bool(stored == own)
