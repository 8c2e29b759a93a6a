"""DDFlow as a LightningModule: flow from unlabeled image pairs.

batch: left_t0, left_t1   # (B, 3, H, W) RGB in [0, 1]; truth (flow, valid_flow, ...) only for validation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.losses import PHOTOMETRIC_TERMS, occlusion_masks, photometric_losses
from flowdistill.networks import DDFlowNet
from flowdistill.training.base import MotionModule
from flowdistill.training.validation import MotionValidation


class DDFlowModule(MotionModule):
    """Unsupervised flow with the photometric losses of DDFlow (AAAI 2019), stages 1 and 2.

    Args:
        losses: photometric term -> weight; terms are those of `flowdistill.losses.PHOTOMETRIC_TERMS`. The
            paper's first stage is {abs_robust_mean_no_occlusion: 1}, its second {census_occlusion: 1}.
        width: factor on the network's channels; 1.0 is the published network.
        learning_rate: of Adam.
        halve_at: optimiser steps at which the learning rate is halved.
        init_from: checkpoint of an earlier stage whose weights to start from.
    """

    view = "flow"
    needs_labels = False

    def __init__(
        self,
        losses: dict[str, float],
        width: float = 1.0,
        learning_rate: float = 1e-4,
        halve_at: Sequence[int] = (),
        init_from: str | None = None,
    ) -> None:
        super().__init__(DDFlowNet(width), learning_rate, halve_at, init_from)
        self.save_hyperparameters()
        self.losses = check_weights(losses)
        self.validation = MotionValidation("flow")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        image1, image2 = batch["left_t0"], batch["left_t1"]
        forward, backward = self.network(image1, image2)
        occluded = occlusion_masks(forward.full, backward.full)
        motion = (forward.full, backward.full, *occluded)
        terms = photometric_losses(image1, image2, *motion, terms=self.losses)
        loss = torch.stack([self.losses[name] * value for name, value in terms.items()]).sum()
        self.log_step(loss, {**terms, "occluded_share": occluded[0].float().mean()}, batch)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        image1, image2 = batch["left_t0"], batch["left_t1"]
        forward, backward = (flow.full for flow in self.network(image1, image2))
        self.validation.update({"flow": forward}, batch)
        # Truth or not, the images judge: the census distance over all pixels, beside that of no motion at all.
        nowhere, still = torch.zeros_like(forward[:, :1]), torch.zeros_like(forward)
        for name, (to, back) in {"census": (forward, backward), "census_zero_motion": (still, still)}.items():
            losses = photometric_losses(
                image1, image2, to, back, nowhere, nowhere, terms=("census_no_occlusion",)
            )
            value = losses["census_no_occlusion"]
            self.log(f"val/{name}", value, batch_size=len(batch["name"]), sync_dist=True, on_epoch=True)

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"val/{name}": value for name, value in self.validation.compute().items()})
        self.validation.reset()

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Both flows and their occlusion, keys as in the batch contract."""
        forward, backward = (flow.full for flow in self.network(batch["left_t0"], batch["left_t1"]))
        occluded = occlusion_masks(forward, backward)
        return {
            "flow": forward,
            "flow_backward": backward,
            "occluded": occluded[0],
            "occluded_backward": occluded[1],
        }

    test_step: Any = validation_step

    def on_test_epoch_end(self) -> None:
        self.on_validation_epoch_end()


def check_weights(losses: Mapping[str, float]) -> dict[str, float]:
    """The weights that are not zero; a term of weight 0 is not computed.

    Raises:
        UserError: an unknown term, a negative weight, or no term left.
    """
    for name, weight in losses.items():
        if name not in PHOTOMETRIC_TERMS:
            raise UserError(f"losses: unknown term {name!r}; known: {', '.join(PHOTOMETRIC_TERMS)}")
        if not weight >= 0:
            raise UserError(f"losses.{name}: the weight must not be negative, got {weight}")
    kept = {name: weight for name, weight in losses.items() if weight > 0}
    if not kept:
        raise UserError("losses: every weight is 0, there is nothing to train on")
    return kept
