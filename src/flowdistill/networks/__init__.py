"""The two published networks, from images to motions."""

from flowdistill.networks.ddflow import DDFlowNet, FlowPyramid
from flowdistill.networks.dwarf import Dwarf, DwarfOutput, SceneMotion, dwarf_to_image_size

__all__ = ["DDFlowNet", "Dwarf", "DwarfOutput", "FlowPyramid", "SceneMotion", "dwarf_to_image_size"]
