"""Losses as pure functions on tensors."""

from flowdistill.losses.census import census_distance, census_loss
from flowdistill.losses.distillation import distillation_loss, distillation_mask
from flowdistill.losses.occlusion import occlusion_masks
from flowdistill.losses.photometric import PHOTOMETRIC_TERMS, photometric_losses
from flowdistill.losses.regulariser import l2_regulariser, squared_weights
from flowdistill.losses.robust import robust_loss
from flowdistill.losses.schedule import Schedule, Weight
from flowdistill.losses.supervised import dwarf_kitti_loss, dwarf_pretraining_loss

__all__ = [
    "PHOTOMETRIC_TERMS",
    "Schedule",
    "Weight",
    "census_distance",
    "census_loss",
    "distillation_loss",
    "distillation_mask",
    "dwarf_kitti_loss",
    "dwarf_pretraining_loss",
    "l2_regulariser",
    "occlusion_masks",
    "photometric_losses",
    "robust_loss",
    "squared_weights",
]
