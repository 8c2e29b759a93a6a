"""Speed of the renderer on one core, against encoding the same images and labels.

    python benchmarks/render.py [--size 256x512] [--scenes 6] [--repeats 5]

One sample is four images with all ground truth, including PNG writing. A scene of 2 frames renders all four for its
only sample; in a longer one, samples share images. Prints samples per second of wall time and of CPU time (more
meaningful on a busy machine), the median over repeats and the range, and the ratio to the upper bound of only encoding
and writing the PNGs in the same run.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
from tqdm import tqdm

from flowdistill.cli.data_sets import parse_size
from flowdistill.render import RenderedFrame, render_scene
from flowdistill.render.layouts import LAYOUTS
from flowdistill.render.writer import Request, prepare_folder, write_scene

Rates = tuple[float, float]  # samples per second of wall time and of CPU time


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="256x512", help="HxW (default: 256x512)")
    parser.add_argument("--scenes", type=int, default=6, help="scenes per repeat (default: 6)")
    parser.add_argument("--repeats", type=int, default=5, help="number of repeats (default: 5)")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    size = parse_size(args.size)
    print(
        f"{args.size}, one thread, {args.scenes} scenes per repeat, {args.repeats} repeats: samples per second"
    )
    for frames in (2, 11):
        request = Request(seed=0, scenes=args.scenes, frames=frames, size=size)
        with tempfile.TemporaryDirectory() as folder:
            root = prepare_folder(Path(folder) / "rendered")
            ready = [list(render_scene(0, scene, frames, size)) for scene in range(args.scenes)]

            def render(root: Path = root, request: Request = request) -> None:
                for scene in range(request.scenes):
                    write_scene(root, "kitti2015", request, scene)

            def encode(
                root: Path = root, request: Request = request, ready: list[list[RenderedFrame]] = ready
            ) -> None:
                for scene, pairs in enumerate(ready):
                    for number, frame in enumerate(pairs):
                        LAYOUTS["kitti2015"].write_pair(root, request, scene, number, frame)

            samples = args.scenes * (frames - 1)
            rendered, encoded = _rates(render, encode, samples, args.repeats)
        ratio = statistics.median(rate for rate, _ in rendered) / statistics.median(
            rate for rate, _ in encoded
        )
        print(f"  --frames {frames:2d}: rendered {_spread(rendered)}")
        print(f"               PNG alone {_spread(encoded)}; ratio {ratio:.2f}")


def _rates(
    render: Callable[[], None], encode: Callable[[], None], samples: int, repeats: int
) -> tuple[list[Rates], list[Rates]]:
    """Return the rates of both, measured alternately so that other load affects them equally."""
    rendered: list[Rates] = []
    encoded: list[Rates] = []
    for _ in tqdm(range(repeats), desc="repeats", leave=False):
        for job, rates in ((render, rendered), (encode, encoded)):
            wall, cpu = time.perf_counter(), time.process_time()
            job()
            rates.append((samples / (time.perf_counter() - wall), samples / (time.process_time() - cpu)))
    return rendered, encoded


def _spread(rates: list[Rates]) -> str:
    wall, cpu = zip(*rates, strict=True)
    return (
        f"{statistics.median(wall):.2f} ({min(wall):.2f}..{max(wall):.2f}), "
        f"by CPU time {statistics.median(cpu):.2f} ({min(cpu):.2f}..{max(cpu):.2f})"
    )


if __name__ == "__main__":
    main()
