"""Optical flow between two images by a trained checkpoint of DDFlow, as a colour picture and a .flo file.

    python examples/flow_of_two_images.py runs/demo/seed0/ddflow/version_0/checkpoints/last.ckpt a.png b.png out

Writes out/flow.flo (H, W, 2) px and out/flow.png; prints the mean motion.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from flowdistill.formats import read_image, write_flo, write_image
from flowdistill.inference.load import load_model
from flowdistill.inference.predict import predict_sample
from flowdistill.visual import flow_to_colours

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("checkpoint", type=Path)
parser.add_argument("image1", type=Path)
parser.add_argument("image2", type=Path)
parser.add_argument("output", type=Path, help="folder")
options = parser.parse_args()

model = load_model(options.checkpoint, "checkpoint", device="cpu")
images = [
    torch.from_numpy(read_image(path)).permute(2, 0, 1) / 255 for path in (options.image1, options.image2)
]
sample = {
    "name": options.image1.stem,
    "left_t0": images[0],
    "left_t1": images[1],
    "size": torch.tensor(images[0].shape[-2:]),
}
flow = predict_sample(model, sample)["flow"]  # (H, W, 2) px, from image 1 to image 2
options.output.mkdir(parents=True, exist_ok=True)
write_flo(options.output / "flow.flo", flow)
write_image(options.output / "flow.png", flow_to_colours(flow))
print(
    f"mean motion {np.linalg.norm(flow, axis=2).mean():.2f} px; wrote {options.output}/flow.flo and flow.png"
)
