"""Motion and picture files: numpy arrays (H, W, C), top row first; atomic writing; clear errors.

A file that cannot be read as its format raises `FormatError` with the file, what was expected and what was found.
`inspect_*` reads only headers and file lengths. Writers raise ValueError for invalid arrays.
"""

from flowdistill.formats.any_image import (
    IMAGE_SUFFIXES,
    inspect_any_image,
    is_sixteen_bit_image,
    is_turned_image,
    read_any_image,
)
from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import FormatError
from flowdistill.formats.flo import inspect_flo, read_flo, write_flo
from flowdistill.formats.image import inspect_image, read_image, write_image
from flowdistill.formats.kitti import (
    decode_kitti_disparity,
    decode_kitti_flow,
    inspect_kitti_disparity,
    inspect_kitti_flow,
    read_kitti_disparity,
    read_kitti_disparity_codes,
    read_kitti_flow,
    read_kitti_flow_codes,
    write_kitti_disparity,
    write_kitti_flow,
)
from flowdistill.formats.masks import inspect_mask, inspect_object_map, read_mask, read_object_map, write_mask
from flowdistill.formats.pfm import inspect_pfm, read_pfm, write_pfm
from flowdistill.formats.webp import inspect_webp_image, read_webp_image

__all__ = [
    "IMAGE_SUFFIXES",
    "FormatError",
    "decode_kitti_disparity",
    "decode_kitti_flow",
    "inspect_any_image",
    "inspect_flo",
    "inspect_image",
    "inspect_kitti_disparity",
    "inspect_kitti_flow",
    "inspect_mask",
    "inspect_object_map",
    "inspect_pfm",
    "inspect_webp_image",
    "is_sixteen_bit_image",
    "is_turned_image",
    "read_any_image",
    "read_flo",
    "read_image",
    "read_kitti_disparity",
    "read_kitti_disparity_codes",
    "read_kitti_flow",
    "read_kitti_flow_codes",
    "read_mask",
    "read_object_map",
    "read_pfm",
    "read_webp_image",
    "write_atomically",
    "write_flo",
    "write_image",
    "write_kitti_disparity",
    "write_kitti_flow",
    "write_mask",
    "write_pfm",
]
