"""Geometric transforms of images together with their labels and intrinsics.

Each is a callable ``(sample, rng) -> sample`` that does not modify its input. Maps are ``(C, H, W)``; an integer
coordinate is the centre of a pixel. Labels are never interpolated: each output label is one input label with rescaled
values, so that valid and invalid labels, or two motions at an object boundary, are not mixed.
"""

from flowdistill.data.transforms.crop import RandomCrop
from flowdistill.data.transforms.flips import RandomFlips, flip_left_right, flip_top_bottom
from flowdistill.data.transforms.padding import ReflectPad, undo_padding
from flowdistill.data.transforms.relative_motion import RelativeMotion, move_t1
from flowdistill.data.transforms.resampling import resample
from flowdistill.data.transforms.scale import RandomScale, Zoom
from flowdistill.data.transforms.visibility import hide_what_leaves

__all__ = [
    "RandomCrop",
    "RandomFlips",
    "RandomScale",
    "ReflectPad",
    "RelativeMotion",
    "Zoom",
    "flip_left_right",
    "flip_top_bottom",
    "hide_what_leaves",
    "move_t1",
    "resample",
    "undo_padding",
]
