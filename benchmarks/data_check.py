"""Accuracy and cost of `flowdistill data check`: false alarms, detected misreadings, time.

Renders data sets of 8 samples in every layout and both worlds, with seeds that were not used to choose thresholds;
introduces one misreading at a time in the labels of one key; counts data sets in which the check reports it. Prints the
tables of docs/data.md.

    python benchmarks/data_check.py [--size 128x256] [--seeds 100 101] [--layouts kitti2015 ...]
    python benchmarks/data_check.py --time    # the whole check against reading the same files, KITTI's size
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "check"))

from check_faults import LAYOUTS, check, data_module  # noqa: E402
from misread import (  # noqa: E402
    FACTORS,
    LABELS,
    MISREADINGS,
    VARIANTS,
    Label,
    applies,
    files_by_key,
    misread,
    plant,
    plant_factor,
    vary,
    with_noc,
)

from flowdistill.check.examine import Examiner  # noqa: E402
from flowdistill.check.plan import plan_check  # noqa: E402
from flowdistill.check.problems import Problem  # noqa: E402
from flowdistill.data import MotionDataModule  # noqa: E402
from flowdistill.data.files import SampleFile  # noqa: E402
from flowdistill.render.writer import Request, write_dataset  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="128x256")
    parser.add_argument("--seeds", nargs="+", type=int, default=[100, 101])
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS))
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        if options.time:
            measure_time(Path(folder))
        else:
            measure_judgement(Path(folder), options.layouts, options.seeds, (height, width))


def measure_judgement(folder: Path, layouts: list[str], seeds: list[int], size: tuple[int, int]) -> None:
    labels = 0
    alarms: dict[str, int] = defaultdict(int)
    hits: dict[str, list[bool]] = defaultdict(list)
    named: dict[str, list[bool]] = defaultdict(list)
    singles: dict[str, list[bool]] = defaultdict(list)
    number = 0
    for layout in layouts:
        for world in ("rooms", "street"):
            for seed in seeds:
                original = folder / f"original{number}"
                number += 1
                write_dataset(original, layout, Request(seed, 4, 3, size, world=world))
                for variant in VARIANTS:
                    root = folder / "data"
                    shutil.copytree(original, root)
                    module = data_module(layout, root)
                    vary(module, variant, seed)
                    files = files_by_key(module)
                    of_labels = {key: files[key] for key in LABELS if key in files}
                    labels += sum(map(len, of_labels.values()))
                    for problem in check(module):
                        alarms[f"{problem.severity} {problem.kind}"] += 1
                        print(
                            "ALARM", layout, world, seed, variant, problem.kind, problem.file, problem.detail
                        )
                    for key in of_labels:
                        groups = with_noc(files, key)
                        paths = {file.path for group in groups for file in group}
                        kept = {path: Path(path).read_bytes() for path in paths}
                        several = groups[0]
                        names = [name for name in MISREADINGS if applies(name, key)]
                        if "KITTI" in several[0].kind.title and key.startswith("disparity"):
                            names += [f"with the factor {factor} " for factor in FACTORS]
                        for name in names:
                            difference = max(spoil(group, name) for group in groups[::-1])
                            found = judged(module) if difference > 1 else []
                            restore(kept)
                            if difference <= 1:
                                continue
                            mine = [problem for problem in found if problem.file in paths]
                            right = sum(name in problem.detail for problem in mine)
                            hits[name].append(len(mine) > 0)
                            named[name].append(2 * right > len(mine))
                            if not hits[name][-1] or not named[name][-1] or len(mine) < len(found):
                                said = {problem.detail.partition(":")[0] for problem in found}
                                print(
                                    "SEE",
                                    layout,
                                    world,
                                    seed,
                                    variant,
                                    key,
                                    name,
                                    f"{difference:.2f} px",
                                    said,
                                )
                            if name in MISREADINGS and len(several) > 4 and variant == VARIANTS[0]:
                                one = {group[3].path for group in groups}
                                for group in groups:
                                    spoil(group, name, only=3)
                                found = judged(module)
                                restore(kept)
                                singles[name].append(
                                    bool(found) and {problem.file for problem in found} <= one
                                )
                    shutil.rmtree(root)
                shutil.rmtree(original)
    print(f"\n{labels} right labels, {size[0]}x{size[1]}: alarms {dict(alarms) or 'none'}\n")
    print("| misreading | data sets | found | named | one file of 8 alone |\n| --- | --- | --- | --- | --- |")
    for name, found in hits.items():
        shares = [f"{100 * statistics.mean(values):.1f} %" for values in (found, named[name])]
        single = f"{100 * statistics.mean(singles[name]):.1f} %" if singles[name] else ""
        print(f"| {name} | {len(found)} | {shares[0]} | {shares[1]} | {single} |")


def judged(module: MotionDataModule) -> list[Problem]:
    return [problem for problem in check(module) if problem.kind in ("wrong_content", "wrong_sign")]


def restore(kept: dict[str, bytes]) -> None:
    for path, content in kept.items():
        Path(path).write_bytes(content)


def spoil(files: list[SampleFile], name: str, only: int | None = None) -> float:
    """Misread all files, or only one; return the mean difference from the ground truth, px."""
    if name.startswith("with the factor"):
        return plant_factor(files, int(name.split()[-1]))

    def change(found: list[Label]) -> list[Label]:
        wrong = misread(found, name, files[0])
        return wrong if only is None else [wrong[k] if k == only else label for k, label in enumerate(found)]

    return plant(files, change)


def measure_time(folder: Path) -> None:
    """Time the check of full-size files against the same check without comparing labels and images, in pairs."""
    for layout, size in (("kitti2015", (375, 1242)), ("things", (540, 960)), ("sintel", (436, 1024))):
        root = folder / layout
        write_dataset(root, layout, Request(7, 2, 5, size))
        jobs = plan_check(data_module(layout, root)).jobs
        ratios, seconds = [], []
        examiner = Examiner(fast=False)
        for _ in range(5):
            start = time.perf_counter()
            for job in jobs:
                examiner(replace(job, samples=()))
            middle = time.perf_counter()
            for job in jobs:
                examiner(job)
            end = time.perf_counter()
            ratios.append((end - middle) / (middle - start))
            seconds.append((end - middle) / sum(len(job.samples) for job in jobs))
        print(
            f"{layout} {size[0]}x{size[1]}: check / reading alone {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}..{max(ratios):.2f}), {statistics.median(seconds):.3f} s per sample"
        )
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
