"""Photometric augmentation: colour, blur and noise on the workers or on the device, channel order, patches."""

from flowdistill.data.photometric.channel_swap import ChannelSwap
from flowdistill.data.photometric.device import apply_on_device
from flowdistill.data.photometric.patches import OccludingPatches
from flowdistill.data.photometric.strength import Strength
from flowdistill.data.photometric.transform import Photometric

__all__ = ["ChannelSwap", "OccludingPatches", "Photometric", "Strength", "apply_on_device"]
