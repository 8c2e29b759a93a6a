"""Time and peak memory of one training step, through a real Trainer; --against compares two checkouts.

    python benchmarks/training_step.py                            # this checkout, both models
    python benchmarks/training_step.py --against /path/to/other   # alternating with another checkout; ratios

CPU time of one thread (excluding other programs). Launches and host syncs: benchmarks/launches.py.

    image   # (B, 3, H, W) RGB in [0, 1]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Rows, columns, batch: DDFlow's KITTI crop of two pairs, DWARF's FlyingThings3D-sized crop of one scene.
MODELS = {"ddflow": (320, 896, 2), "dwarf": (320, 896, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--against", type=Path, help="another checkout of flowdistill")
    parser.add_argument("--size", help="rows x columns, for example 128x256")
    parser.add_argument("--steps", type=int, default=3, help="timed steps per process")
    parser.add_argument("--rounds", type=int, default=3, help="processes per checkout, alternating")
    parser.add_argument("--compile", action="store_true", help="compile this checkout only")
    parser.add_argument("--one", choices=list(MODELS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.size, options.steps, options.compile)))
        return
    print(f"{processor()}, one thread, {options.rounds} processes of {options.steps} steps each")
    checkouts = {"this": ROOT} | ({"other": options.against} if options.against else {})
    for model in options.models:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
        for _ in range(options.rounds):
            for name, root in checkouts.items():
                found[name].append(run(root, model, options, compiled=options.compile and name == "this"))
        for name, runs in found.items():
            seconds = sorted(s for each in runs for s in each["cpu_seconds"])
            memory = max(each["peak_gigabytes"] for each in runs)
            print(
                f"{model:7s} {runs[0]['shape']:12s} {name:6s} median {statistics.median(seconds):.2f} s per step "
                f"({seconds[0]:.2f}..{seconds[-1]:.2f}), peak {memory:.2f} GB, loss {runs[0]['loss']:.6g}"
            )
        if options.against:
            medians = {
                name: statistics.median(s for each in runs for s in each["cpu_seconds"])
                for name, runs in found.items()
            }
            print(f"{model:7s} other / this: {medians['other'] / medians['this']:.2f} times")


def run(root: Path, model: str, options: argparse.Namespace, compiled: bool) -> dict[str, Any]:
    """Run `measure` in a separate process, with a checkout's sources."""
    paths = os.pathsep.join(str(root / folder) for folder in ("src", "kernels"))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    command = [sys.executable, __file__, "--one", model, "--steps", str(options.steps)]
    command += ["--size", options.size] if options.size else []
    command += ["--compile"] if compiled else []
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{root}: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(model: str, size: str | None, steps: int, compiled: bool) -> dict[str, Any]:
    """Return the CPU seconds of each step after the first, the process's peak memory and the last loss."""
    import pytorch_lightning as pl
    import torch

    rows, columns, batch = MODELS[model]
    if size:
        rows, columns = map(int, size.split("x"))
    pl.seed_everything(0, verbose=False)
    torch.set_num_threads(1)
    data = batch_of(rows, columns, batch)
    module = module_of(model, compiled)
    clock = _clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=steps + 1, max_epochs=-1, logger=False, callbacks=[clock],
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            log_every_n_steps=1000, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(module, torch.utils.data.DataLoader([data] * (steps + 1), batch_size=None))
    return {
        "shape": f"{batch}x{rows}x{columns}",
        "cpu_seconds": clock.seconds[1:],
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "loss": clock.loss,
    }


def batch_of(rows: int, columns: int, batch: int) -> dict[str, Any]:
    """Return smooth moving images with labels for both models."""
    import torch

    noise = torch.nn.functional.interpolate(
        torch.rand(batch, 3, rows // 8, columns // 8), (rows, columns), mode="bilinear"
    )
    images = {
        name: noise.roll(shift, 3)
        for name, shift in (("left_t0", 0), ("right_t0", -6), ("left_t1", 4), ("right_t1", -2))
    }
    flow = torch.stack([torch.full((batch, rows, columns), 4.0), torch.zeros(batch, rows, columns)], 1)
    disparity = torch.full((batch, 1, rows, columns), 6.0)
    valid = torch.ones(batch, 1, rows, columns, dtype=torch.bool)
    labels = {"flow": flow, "disparity_t0": disparity, "disparity_t1": disparity}
    names = [f"sample{k}" for k in range(batch)]
    return {**images, **labels, **{f"valid_{name}": valid for name in labels}, "name": names}


def module_of(model: str, compiled: bool) -> Any:
    from flowdistill.training import DDFlowModule, DwarfModule

    more = {"compile": True} if compiled else {}
    if model == "ddflow":
        return DDFlowModule({"census_no_occlusion": 1.0}, **more)
    alphas = {2: 0.005, 3: 0.01, 4: 0.02, 5: 0.08, 6: 0.32}
    return DwarfModule("dense_multilevel", dict(alphas), **more)


def _clock() -> Any:
    import pytorch_lightning as pl

    class Clock(pl.Callback):
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.loss = float("nan")

        def on_train_batch_start(self, *_: Any) -> None:
            self.started = time.process_time()

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            self.seconds.append(time.process_time() - self.started)
            self.loss = float(outputs["loss"])

    return Clock()


def processor() -> str:
    """Return the processor's name, as far as the system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor()
    names = [
        line.partition(":")[2].strip()
        for line in cpuinfo.read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
