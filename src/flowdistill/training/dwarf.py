"""DWARF as a LightningModule: scene flow from two stereo pairs, with ground-truth or distilled labels.

batch: left_t0 right_t0 left_t1 right_t1   # (B, 3, H, W) RGB in [0, 1]
       flow, disparity_t0, disparity_t1 and valid_*   # labels, see data/sample.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor

from flowdistill import renamed
from flowdistill.data.sample import IMAGES, Batch
from flowdistill.errors import UserError
from flowdistill.losses import Schedule, Weight, dwarf_kitti_loss, dwarf_pretraining_loss, squared_weights
from flowdistill.losses.schedule import as_schedule, check_number, first_step_without_loss, positive_weights
from flowdistill.metrics import SCENE_FLOW_KEYS as LABELS
from flowdistill.networks import Dwarf, DwarfOutput, SceneMotion, dwarf_to_image_size
from flowdistill.networks.dwarf import LEVELS
from flowdistill.networks.initialisation import start_as_residual
from flowdistill.ops.padding import pad_to_multiple
from flowdistill.training.base import MotionModule
from flowdistill.training.validation import MotionValidation

MULTIPLE = 64
L2_WEIGHT = 0.0004  # released code


class DwarfModule(MotionModule):
    """Supervised scene flow with the losses of DWARF (AAAI 2020).

    Args:
        loss: "dense_multilevel" compares every level with area-averaged dense labels (the pre-training on
            FlyingThings3D), "sparse_full_resolution" enlarges the levels to full size and compares where labels are
            valid (KITTI).
        alphas: level -> weight of its terms, a number or a schedule over steps.
        l2_weight: factor of the sum of all squared weights in the loss, a number or a schedule.
        non_finite: labels that are NaN or infinite count as 0 ("zero", as published) or are ignored ("mask").
        width: factor on the network's channels; 1.0 is the published network.
        initialization: "xavier", as in the original, or "residual": the encoder starts as a linear image pyramid, and
            every level passes the motion of the coarser level on (`flowdistill.networks.initialisation`).
        learning_rate: of Adam, a number or a schedule.
        halve_at: optimiser steps at which the learning rate is halved.
        init_from: checkpoint of an earlier stage that provides the initial weights.
        compile: train with `torch.compile`: the first step takes minutes, later steps are faster, and results agree up
            to rounding. Prediction and validation are not compiled.
        checkpoint_activations: backward recomputes the decoders instead of storing their activations: stored
            activations shrink from 0.93 to 0.24 GB per sample of 384x768, a step takes 1.3 times as long (measured on
            a CPU), and gradients are bitwise identical.
        skip_non_finite: number of steps per run whose loss or gradient may be NaN or infinite; they change no weight,
            and their batches are written to files. One more ends the run.
        decay: old name of `l2_weight`, for one version.
        start: old name of `initialization`, for one version.
    """

    view = "scene_flow"
    needs_labels = True
    advice = 'Inspect these samples (unknown labels need `non_finite: "mask"`), or lower the learning rate.'

    def __init__(
        self,
        loss: Literal["dense_multilevel", "sparse_full_resolution", "pretraining", "kitti"],
        alphas: dict[int, Weight],
        l2_weight: Weight = L2_WEIGHT,
        non_finite: Literal["zero", "mask"] = "mask",
        width: float = 1.0,
        initialization: Literal["xavier", "residual"] = "xavier",
        learning_rate: Weight = 1e-4,
        halve_at: Sequence[int] = (),
        init_from: str | None = None,
        compile: bool = False,
        checkpoint_activations: bool = False,
        skip_non_finite: int = 0,
        decay: Weight | None = None,
        start: Literal["xavier", "residual"] | None = None,
    ) -> None:
        l2_weight = renamed.old_or_new(renamed.MODEL, "decay", decay, l2_weight, L2_WEIGHT)
        initialization = renamed.old_or_new(renamed.MODEL, "start", start, initialization, "xavier")
        loss = cast(Any, renamed.loss(loss))
        check_number("width", width, positive=True)
        super().__init__(
            Dwarf(width),
            MotionValidation(*LABELS),
            learning_rate,
            halve_at,
            init_from,
            compile,
            checkpoint_activations,
            skip_non_finite,
        )
        self.alphas = checked_alphas(alphas)
        self.l2_weight = as_schedule("l2_weight", l2_weight)
        self.loss, self.non_finite = loss, non_finite
        self.save_hyperparameters(ignore=list(renamed.MODEL))
        # Under their present names, which `lightning` would keep as the config has them.
        self.save_plain_hyperparameters(
            alphas=alphas,
            l2_weight=l2_weight,
            learning_rate=learning_rate,
            loss=loss,
            initialization=initialization,
        )
        if initialization == "residual":
            start_as_residual(cast(Dwarf, self.network))

    def schedules(self) -> dict[str, Schedule]:
        return {**self.data_terms(), "l2": self.l2_weight}

    def data_terms(self) -> dict[str, Schedule]:
        return {f"alphas.{level}": alpha for level, alpha in self.alphas.items()}

    def has_idle_parameters(self, steps: int | None) -> bool:
        # The finest level uses all weights, and so does the regulariser.
        finest = {level: alpha for level, alpha in self.alphas.items() if level == min(LEVELS)}
        without = first_step_without_loss({**finest, "l2": self.l2_weight}, steps)
        return without is not None

    def term_names(self) -> list[str]:
        return [f"level{level}/{name}" for level in self.alphas for name in LABELS]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images = _images(batch)
        height, width = images[0].shape[-2:]
        if height % MULTIPLE or width % MULTIPLE:
            raise UserError(
                f"DWARF trains on sizes that are multiples of {MULTIPLE}, got {height}x{width} ({batch['name'][0]}); "
                "set a crop: --data.init_args.scene_flow.crop '[320, 896]'"
            )
        terms = self.data_loss(self.run_network(*images), batch)
        data_loss = terms.pop("data_loss")
        loss, l2_weight = data_loss, self.l2_weight.at(self.global_step)
        if l2_weight > 0:
            loss = data_loss + l2_weight * squared_weights(self.network.parameters())
        labeled = [cast("dict[str, Tensor]", batch)[f"valid_{name}"] for name in LABELS]
        masked = 1 - torch.stack(labeled).float().mean()  # share of the labels that the loss ignores
        return self.guarded(loss, {"data_loss": data_loss, **terms, "masked_share": masked}, batch, batch_idx)

    def data_loss(self, output: DwarfOutput, batch: Batch) -> dict[str, Tensor]:
        """Compute the configured loss at this step; invalid labels count as unknown."""
        tensors = cast("dict[str, Tensor]", batch)
        alphas = positive_weights(self.alphas, self.global_step)
        labels = {name: tensors[name] for name in LABELS}
        valid = {name: tensors[f"valid_{name}"] for name in LABELS}
        if self.loss == "sparse_full_resolution":
            return dwarf_kitti_loss(
                output.levels,
                **labels,
                **{f"valid_{name}": mask for name, mask in valid.items()},
                alphas=alphas,
                non_finite=self.non_finite,
            )
        dense = {name: labels[name].masked_fill(~valid[name], torch.nan) for name in LABELS}
        return dwarf_pretraining_loss(output.levels, **dense, alphas=alphas, non_finite=self.non_finite)

    def predict_motion(self, batch: Batch) -> SceneMotion:
        """Predict scene flow at image size: images are reflection-padded to a multiple of 64, outputs cropped back."""
        images = _images(batch)
        size = (images[0].shape[-2], images[0].shape[-1])
        padded = [pad_to_multiple(image, MULTIPLE)[0] for image in images]
        return dwarf_to_image_size(self.run_network(*padded), size, "crop")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validation.update(self.predict_step(batch, batch_idx), batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return flow and both disparities (clipped at 0), with keys as in the batch contract."""
        motion = self.predict_motion(batch)
        return {
            "flow": motion.flow,
            "disparity_t0": motion.disparity_t0.clamp_min(0),
            "disparity_t1": motion.disparity_t1.clamp_min(0),
        }


def checked_alphas(alphas: dict[int, Weight]) -> dict[int, Schedule]:
    """Return the schedules of the levels with a weight that is positive at some step; the others are not computed.

    Raises:
        UserError: an unknown level, an invalid schedule or weight, or no level left; the message names the key.
    """
    unknown = sorted(set(alphas) - set(LEVELS))
    if unknown or not alphas:
        raise UserError(f"alphas: levels are 2 (finest) to 6, got {sorted(alphas)}")
    schedules = {level: as_schedule(f"alphas.{level}", alpha) for level, alpha in alphas.items()}
    kept = {level: schedule for level, schedule in schedules.items() if schedule.is_ever_positive}
    if not kept:
        raise UserError("alphas: every weight is 0, there is nothing to train on")
    return kept


def _images(batch: Batch) -> tuple[Tensor, ...]:
    tensors = cast("dict[str, Tensor]", batch)
    return tuple(tensors[name] for name in IMAGES)
