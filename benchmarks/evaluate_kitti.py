"""Speed of `flowdistill evaluate kitti` on one core, against decoding the same PNGs.

    python benchmarks/evaluate_kitti.py [--size 375x1242] [--frames 4] [--repeats 9]

A frame is ten files: seven of ground truth (rendered) and three predictions, which are the ground truth with smooth
errors and holes: scattered pixels, blocks, a border and the top rows. The ground truth is used dense, as rendered, and
thinned to every fourth pixel of the lower part, like that of a laser scanner. Decoding is only `cv2.imread`. Prints
seconds of CPU time per frame (more meaningful on a busy machine), the median over repeats and the range, both jobs
alternating; and the ratio to the allowed time, 1.3 x decoding + 0.05 s. The start of Python and its libraries, once per
command, is not included; it is printed as well.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from flowdistill.cli.data_sets import parse_size
from flowdistill.evaluation.kitti.files import KittiFiles, find_files
from flowdistill.evaluation.kitti.image import evaluate_image
from flowdistill.formats import read_kitti_disparity, read_kitti_flow, write_kitti_disparity, write_kitti_flow
from flowdistill.render.writer import Request, write_dataset

ALLOWED_FACTOR, ALLOWED_SECONDS = 1.3, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="375x1242", help="HxW (default: 375x1242)")
    parser.add_argument("--frames", type=int, default=4, help="number of different frames (default: 4)")
    parser.add_argument("--repeats", type=int, default=9, help="number of repeats (default: 9)")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print(
        f"{args.size}, one thread, {args.frames} frames, {args.repeats} repeats: seconds of CPU time per frame"
    )
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_dataset(root / "rendered", "kitti2015", Request(0, args.frames, 2, parse_size(args.size)))
        truth = root / "rendered" / "training"
        rng = np.random.default_rng(0)
        for image in tqdm(sorted((truth / "flow_occ").iterdir()), desc="predict", leave=False):
            write_predictions(truth, root / "predictions", image.name, rng)
        files = find_files(root / "predictions", truth)
        for density in ("dense", "thinned"):
            if density == "thinned":
                for folder in tqdm(truth_folders(files), desc="thin", leave=False):
                    for path in folder.iterdir():
                        thin(path)
            evaluated, decoded = measure(files, args.repeats)
            allowed = ALLOWED_FACTOR * statistics.median(decoded) + ALLOWED_SECONDS
            print(f"  {density:7} truth: evaluated {spread(evaluated)}")
            ratios = f"{statistics.median(evaluated) / allowed:.2f} of the {allowed:.4f} allowed"
            print(f"                 decoded   {spread(decoded)}; {ratios}")
        print(f"  start of the command: {start_of_command(root / 'predictions', truth, files):.2f} once")


def write_predictions(truth: Path, folder: Path, name: str, rng: np.random.Generator) -> None:
    """Write the ground truth of one image with smooth errors of a few pixels and holes."""
    for motion, occ in (("disp_0", "disp_occ_0"), ("disp_1", "disp_occ_1"), ("flow", "flow_occ")):
        (folder / motion).mkdir(parents=True, exist_ok=True)
        read = read_kitti_flow if motion == "flow" else read_kitti_disparity
        write = write_kitti_flow if motion == "flow" else write_kitti_disparity
        values, _ = read(truth / occ / name)
        height, width, channels = values.shape
        noise = [cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 5) for _ in range(channels)]
        predicted = values + 40 * np.stack(noise, axis=2)
        valid = rng.random((height, width)) > 0.05
        for _ in range(30):
            row, column = rng.integers(height), rng.integers(width)
            valid[row : row + height // 12, column : column + width // 20] = False
        valid[:, : width // 30] = False
        valid[: height // 20] = False
        write(folder / motion / name, np.maximum(predicted, 0) if channels == 1 else predicted, valid)


def truth_folders(files: KittiFiles) -> list[Path]:
    return [folder for motion in files.truths.values() for folder in motion.values()]


def thin(path: Path) -> None:
    """Thin one ground truth to a laser scanner's density: a quarter of the pixels below the upper third."""
    flow = path.parent.name.startswith("flow")
    read, write = (
        (read_kitti_flow, write_kitti_flow) if flow else (read_kitti_disparity, write_kitti_disparity)
    )
    values, valid = read(path)
    seen = np.random.default_rng(0).random(valid.shape) < 0.25  # the same pixels in every file
    seen[: len(seen) // 3] = False
    write(path, values, valid & seen)


def measure(files: KittiFiles, repeats: int) -> tuple[list[float], list[float]]:
    """Return CPU seconds per frame of evaluating and of only decoding, alternating to share other load equally."""

    def evaluate(image: str) -> None:
        evaluate_image(files, image)

    def decode(image: str) -> None:
        objects = [files.object_maps] if files.object_maps else []
        for folder in (*truth_folders(files), *files.predictions.values(), *objects):
            cv2.imread(str(folder / f"{image}.png"), cv2.IMREAD_UNCHANGED)

    jobs: list[tuple[Callable[[str], None], list[float]]] = [(evaluate, []), (decode, [])]
    for repeat in tqdm(range(repeats + 1), desc="repeats", leave=False):
        for job, seconds in jobs:
            start = time.process_time()
            for image in files.images:
                job(image)
            if repeat > 0:  # the first round is a warm-up
                seconds.append((time.process_time() - start) / len(files.images))
    return jobs[0][1], jobs[1][1]


def start_of_command(predictions: Path, truth: Path, files: KittiFiles) -> float:
    """Return the CPU seconds of the whole command minus those of its frames: its start-up cost."""
    command = [str(Path(sys.executable).with_name("flowdistill")), "evaluate", "kitti"]
    command += ["--predictions", str(predictions), "--ground-truth", str(truth)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    frames, _ = measure(files, 1)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return whole - frames[0] * len(files.images)


def spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.4f} ({min(seconds):.4f}..{max(seconds):.4f})"


if __name__ == "__main__":
    main()
