"""Pictures of motion: numpy arrays in, uint8 RGB (H, W, 3) out."""

from flowdistill.visual.disparity_colours import disparity_to_colours
from flowdistill.visual.error_colours import error_to_colours
from flowdistill.visual.flow_colours import flow_to_colours
from flowdistill.visual.panel import contact_sheet

__all__ = ["contact_sheet", "disparity_to_colours", "error_to_colours", "flow_to_colours"]
