"""Renderer of stereo video of a synthetic 3D world with exact dense ground truth, deterministic for a given seed."""

from flowdistill.render.sequence import RenderedFrame, render_scene

__all__ = ["RenderedFrame", "render_scene"]
