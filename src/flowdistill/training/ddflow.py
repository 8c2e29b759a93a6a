"""DDFlow as a LightningModule: flow from unlabeled image pairs.

batch: left_t0, left_t1   # (B, 3, H, W) RGB in [0, 1]; truth (flow, valid_flow, ...) only for validation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.losses import PHOTOMETRIC_TERMS, occlusion_masks, photometric_losses
from flowdistill.networks import DDFlowNet
from flowdistill.networks.ddflow import SMALLEST_SIZE
from flowdistill.networks.initialisation import start_encoder_linear
from flowdistill.training.base import MotionModule, check_number
from flowdistill.training.validation import MotionValidation


class DDFlowModule(MotionModule):
    """Unsupervised flow with the photometric losses of DDFlow (AAAI 2019), stages 1 and 2.

    Args:
        losses: photometric term -> weight; terms are those of `flowdistill.losses.PHOTOMETRIC_TERMS`. The
            paper's first stage is {abs_robust_mean_no_occlusion: 1}, its second {census_occlusion: 1}.
        width: factor on the network's channels; 1.0 is the published network.
        start: "xavier", the original's starting weights, or "linear": the extractor starts as a linear image pyramid
            (`flowdistill.networks.initialisation`).
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
        start: Literal["xavier", "linear"] = "xavier",
        learning_rate: float = 1e-4,
        halve_at: Sequence[int] = (),
        init_from: str | None = None,
    ) -> None:
        check_number("width", width, positive=True)
        super().__init__(
            DDFlowNet(width),
            MotionValidation("flow", means=("census", "census_zero_motion")),
            learning_rate,
            halve_at,
            init_from,
        )
        self.save_hyperparameters()
        if start == "linear":
            start_encoder_linear(cast(DDFlowNet, self.network).extractor)
        self.losses = check_weights(losses)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        image1, image2 = batch["left_t0"], batch["left_t1"]
        forward, backward = self._flows(batch)
        occluded = occlusion_masks(forward, backward)
        motion = (forward, backward, *occluded)
        terms = photometric_losses(image1, image2, *motion, terms=self.losses)
        loss = torch.stack([self.losses[name] * value for name, value in terms.items()]).sum()
        self.log_step(loss, {**terms, "occluded_share": occluded[0].float().mean()}, batch)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        image1, image2 = batch["left_t0"], batch["left_t1"]
        forward, backward = self._flows(batch)
        self.validation.update({"flow": forward}, batch)
        # Truth or not, the images judge: the census distance over all pixels, beside that of no motion at all.
        nowhere, still = torch.zeros_like(forward[:, :1]), torch.zeros_like(forward)
        for name, (to, back) in {"census": (forward, backward), "census_zero_motion": (still, still)}.items():
            losses = photometric_losses(
                image1, image2, to, back, nowhere, nowhere, terms=("census_no_occlusion",)
            )
            self.validation.add(name, losses["census_no_occlusion"], len(batch["name"]))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Both flows and their occlusion, keys as in the batch contract."""
        forward, backward = self._flows(batch)
        occluded = occlusion_masks(forward, backward)
        return {
            "flow": forward,
            "flow_backward": backward,
            "occluded": occluded[0],
            "occluded_backward": occluded[1],
        }

    def _flows(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Forward and backward flow at the images' size."""
        image1, image2 = batch["left_t0"], batch["left_t1"]
        height, width = image1.shape[-2:]
        if min(height, width) < SMALLEST_SIZE:
            raise UserError(
                f"DDFlow needs images of at least {SMALLEST_SIZE}x{SMALLEST_SIZE}, got {height}x{width} "
                f"({batch['name'][0]}): take larger frames or a larger data.init_args.flow.crop"
            )
        forward, backward = self.network(image1, image2)
        return forward.full, backward.full


def check_weights(losses: Mapping[str, float]) -> dict[str, float]:
    """The weights that are not zero; a term of weight 0 is not computed.

    Raises:
        UserError: an unknown term, a negative or non-finite weight, or no term left.
    """
    for name, weight in losses.items():
        if name not in PHOTOMETRIC_TERMS:
            raise UserError(f"losses: unknown term {name!r}; known: {', '.join(PHOTOMETRIC_TERMS)}")
        check_number(f"losses.{name}", weight)
    kept = {name: weight for name, weight in losses.items() if weight > 0}
    if not kept:
        raise UserError("losses: every weight is 0, there is nothing to train on")
    return kept
