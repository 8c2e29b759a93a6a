"""Files of motion and pictures: numpy arrays (H, W, C), top row first; atomic writing; clear errors.

Everything that cannot be read as its format raises `FormatError`, which names the file, what was expected and
what was found. Wrong arrays given to a writer raise ValueError.
"""

from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import FormatError
from flowdistill.formats.flo import read_flo, write_flo
from flowdistill.formats.image import read_image, read_object_map, write_image
from flowdistill.formats.kitti import (
    read_kitti_disparity,
    read_kitti_flow,
    write_kitti_disparity,
    write_kitti_flow,
)
from flowdistill.formats.pfm import read_pfm, write_pfm

__all__ = [
    "FormatError",
    "read_flo",
    "read_image",
    "read_kitti_disparity",
    "read_kitti_flow",
    "read_object_map",
    "read_pfm",
    "write_atomically",
    "write_flo",
    "write_image",
    "write_kitti_disparity",
    "write_kitti_flow",
    "write_pfm",
]
