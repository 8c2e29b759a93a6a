"""Loss of accuracy by half precision: the demo's networks in float32, bfloat16 and float16.

    python benchmarks/precision.py runs/demo/seed0              # the trained networks, evaluated in each precision
    python benchmarks/precision.py runs/demo/seed0 --train DIR  # also train both in bf16-mixed, as `make demo` does

FOLDER is the output of `make demo`. "error" is the mean end-point error of the flow on the validation scenes in px;
"off" is the distance to the float32 flow of the same weights in px, mean and largest; "per 100 px" is that distance
where the float32 flow is longer than 3 px, relative to a motion of 100 px (the demo's are shorter; rounding a motion to
half precision has an error of 0.02 px in float16 and 0.15 px in bfloat16, more where levels add up). No GPU is needed:
convolutions on the CPU round as they do on a GPU, though float16 is slow.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from flowdistill.data import collate, open_dataset
from flowdistill.data.sample import Batch
from flowdistill.inference.load import load_model
from flowdistill.recipes.commands import VAL_SPLIT, fit, last_checkpoint
from flowdistill.training.base import MotionModule

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
MODELS = ("ddflow", "dwarf")
LONG = 3.0  # px


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of a finished `make demo`")
    parser.add_argument("--train", type=Path, metavar="DIR", help="also train in bf16-mixed, into DIR")
    parser.add_argument("--seed", type=int, default=0, help="seed of that training")
    options = parser.parse_args()
    heads = ("error", "off, mean", "largest", "per 100 px")
    print(f"{'':28s}{'evaluated in':>14s}" + "".join(f"{head:>12s}" for head in heads))
    for model in MODELS:
        trained = {"float32": last_checkpoint(options.folder / model)}
        if options.train:
            config, precision = f"configs/demo/{model}.yaml", ["--trainer.precision", "bf16-mixed"]
            data = options.folder / "data"
            trained["bfloat16"] = fit(options.train / model, config, data, options.seed, precision)
        for name, checkpoint in trained.items():
            if checkpoint is None:
                raise SystemExit(f"{options.folder / model} contains no finished run: run `make demo` first")
            table(
                f"{model}, trained in {name}",
                load_model(checkpoint, "folder", "cpu"),
                options.folder / "data",
            )


def table(title: str, model: MotionModule, data: Path) -> None:
    samples = open_dataset("kitti2015", str(data), VAL_SPLIT, model.view, labels=True)
    batches = [collate([samples[k]]) for k in range(len(samples))]
    found = {name: flows(model, batches, dtype) for name, dtype in PRECISIONS.items()}
    exact = torch.cat(found["float32"])
    length = exact.norm(dim=1)
    for name in PRECISIONS:
        off = distance(torch.cat(found[name]), exact)
        share = (off / length)[length > LONG].mean()
        numbers = (error(found[name], batches), off.mean(), off.max(), 100 * share)
        print(f"{title:28s}{name:>14s}" + "".join(f"{number:12.4f}" for number in numbers))


@torch.inference_mode()
def flows(model: MotionModule, batches: list[Batch], dtype: torch.dtype | None) -> list[Tensor]:
    with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        return [model.predict_step(batch, 0)["flow"] for batch in batches]


def error(found: list[Tensor], batches: list[Batch]) -> float:
    """Return the mean end-point error over all pixels with ground truth, px."""
    errors = [distance(f, b["flow"])[b["valid_flow"][:, 0]] for f, b in zip(found, batches, strict=True)]
    return float(torch.cat(errors).mean())


def distance(flow: Tensor, other: Tensor) -> Tensor:
    """End-point distance of two flows, (B, 2, H, W) each -> (B, H, W) px."""
    return (flow - other).norm(dim=1)


if __name__ == "__main__":
    main()
