"""Samples per second that one worker reads, by dataset, and the breakdown of its time.

    python benchmarks/data.py [--samples 4] [--repeats 7] [--datasets kitti2015 sintel ...] [--root DIR]

Images are rendered in the sizes of the originals; a photograph of KITTI's size takes 7 % longer to decode. Four jobs
are timed alternately, in one process set up as a worker, so that other load on the machine affects them equally:

    decode     every file of the sample into arrays, in its own units: only `FileKind.read`
    read       the dataset's samples: decoding, signs, masks, tensors
    geometry   the same with the recipe's transforms except the photometric ones
    all        the same with every transform of the recipe

Prints samples per second of CPU time and the fraction spent on decode: median and range over the repeats. The goal is
80 % of read and of geometry. PPM and .flo are not compressed: FlyingChairs has almost nothing to decode.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from flowdistill.data import MotionDataset, View, open_dataset
from flowdistill.data.dataset import ViewName
from flowdistill.data.loaders import start_worker
from flowdistill.data.photometric import ChannelSwap, OccludingPatches, Photometric
from flowdistill.data.sampler import Transform, augmentation_rng
from flowdistill.render.writer import Request, write_dataset

# Layout -> size of the originals, view, recipe.
CASES: dict[str, list[tuple[tuple[int, int], ViewName, View]]] = {
    "kitti2015": [
        ((375, 1242), "flow", View(preset="ddflow", crop=(320, 896))),
        ((375, 1242), "scene_flow", View(preset="dwarf_kitti")),
    ],
    "kitti2012": [((375, 1242), "flow", View(preset="ddflow", crop=(320, 896)))],
    "sintel": [((436, 1024), "flow", View(preset="ddflow", crop=(320, 896)))],
    "chairs": [((384, 512), "flow", View(preset="ddflow", crop=(320, 448)))],
    "things": [
        ((540, 960), "flow", View(preset="ddflow", crop=(320, 896))),
        ((540, 960), "scene_flow", View(preset="dwarf_things")),
    ],
    "things_subset": [((540, 960), "scene_flow", View(preset="dwarf_things"))],
}
PHOTOMETRIC = (ChannelSwap, OccludingPatches, Photometric)
GOAL = 0.8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--samples", type=int, default=4, help="samples per repeat (default: 4)")
    parser.add_argument("--repeats", type=int, default=7, help="number of repeats (default: 7)")
    parser.add_argument(
        "--root", type=Path, help="folder for the rendered images, which are kept (default: a temporary one)"
    )
    args = parser.parse_args()
    start_worker(0)
    torch.set_num_threads(1)
    print(
        f"{args.samples} samples per repeat, {args.repeats} repeats, one thread; samples per second of CPU time"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = args.root or Path(folder)
        for layout in args.datasets:
            for size, view, recipe in CASES[layout]:
                place = root / layout
                if not place.exists():
                    write_dataset(place, layout, Request(seed=0, scenes=args.samples, frames=2, size=size))
                labels = view == "scene_flow"
                dataset = open_dataset(layout, str(place), "scan", view, labels)
                _report(layout, view, _measure(dataset, recipe, args.samples, args.repeats))


def _measure(dataset: MotionDataset, recipe: View, samples: int, repeats: int) -> dict[str, list[float]]:
    """Return job -> seconds of CPU time per sample, one value per repeat."""
    transforms = recipe.transforms()
    geometry = [transform for transform in transforms if not isinstance(transform, PHOTOMETRIC)]
    samples = min(samples, len(dataset))
    jobs: dict[str, Callable[[int], object]] = {
        "decode": lambda index: [file.kind.read(file.path) for file in dataset.files(index)],
        "read": lambda index: dataset[index],
        "geometry": lambda index: _transformed(dataset, index, geometry),
        "all": lambda index: _transformed(dataset, index, transforms),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job(0)  # imports, caches
    for repeat in tqdm(range(repeats), desc=dataset.name, leave=False):
        order = list(jobs)
        for name in order[repeat % len(order) :] + order[: repeat % len(order)]:
            start = time.process_time()
            for index in range(samples):
                jobs[name](index)
            seconds[name].append((time.process_time() - start) / samples)
    return seconds


def _transformed(dataset: MotionDataset, index: int, transforms: Sequence[Transform]) -> object:
    sample = dataset[index]
    rng = augmentation_rng(0, index)
    for transform in transforms:
        sample = transform(sample, rng)
    return sample


def _report(layout: str, view: str, seconds: dict[str, list[float]]) -> None:
    print(f"{layout}, {view}")
    decode = seconds["decode"]
    for name, spent in seconds.items():
        rates = sorted(1 / value for value in spent)
        line = f"  {name:<9} {statistics.median(rates):7.2f} ({rates[0]:.2f}..{rates[-1]:.2f})"
        if name != "decode":
            shares = sorted(part / whole for part, whole in zip(decode, spent, strict=True))
            share = statistics.median(shares)
            line += f"   decoding {share:.0%} ({shares[0]:.0%}..{shares[-1]:.0%})"
            if name in ("read", "geometry"):
                line += "" if share >= GOAL else f"   below {GOAL:.0%}"
        print(line)


if __name__ == "__main__":
    main()
