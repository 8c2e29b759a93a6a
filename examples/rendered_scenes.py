"""Render a few scenes of a world and show them in one picture: frames, flow, occlusion, disparity.

python examples/rendered_scenes.py rooms rooms.png
python examples/rendered_scenes.py street street.png
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from flowdistill.data import open_dataset
from flowdistill.formats import write_image
from flowdistill.recipes.commands import render
from flowdistill.recipes.overview import left, motion, occluded, overview

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("world", choices=("rooms", "street"))
parser.add_argument("output", type=Path, help="PNG file")
parser.add_argument("--scenes", type=int, default=4)
parser.add_argument("--size", default="64x128", help="HxW; shown twice as large")
options = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    data = Path(folder, "data")
    request = f"--world {options.world} --scenes {options.scenes} --frames 2 --size {options.size} --layout kitti2015"
    render(data, request)
    dataset = open_dataset("kitti2015", str(data), "scan", "scene_flow", labels=True)
    columns = {
        "frame t": left,
        "frame t+1": lambda sample: (sample["left_t1"].numpy().transpose(1, 2, 0) * 255).astype(np.uint8),
        "optical flow": motion("flow"),
        "occluded in t+1": occluded,
        "disparity": motion("disparity_t0"),
    }
    write_image(options.output, overview(dataset, columns, options.scenes))
