"""The renderer: stereo video of a synthetic 3D world with exact dense truth, deterministic from a seed."""

from flowdistill.render.sequence import RenderedFrame, render_scene

__all__ = ["RenderedFrame", "render_scene"]
