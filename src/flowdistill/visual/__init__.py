"""Visualisation of motion: from numpy arrays to uint8 RGB (H, W, 3)."""

from flowdistill.visual.disparity_colours import disparity_to_colours
from flowdistill.visual.error_colours import error_to_colours
from flowdistill.visual.flow_colours import flow_to_colours
from flowdistill.visual.panel import contact_sheet

__all__ = ["contact_sheet", "disparity_to_colours", "error_to_colours", "flow_to_colours"]
