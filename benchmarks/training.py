"""Time, peak memory and values of one training step, through a real Trainer, beside those of another version.

   python benchmarks/training.py                              # both models, beside commit 18dc29e
   python benchmarks/training.py --models ddflow --against /path/to/checkout
   python benchmarks/training.py --precision bf16-mixed       # only where the processor has a unit for it

Wall time, processes of both versions alternating. Loss and gradient norm are of the first step, from the same weights
and the same images. Launches and host syncs: benchmarks/launches.py.

    image   # (B, 3, H, W) RGB in [0, 1]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from checkouts import BEFORE, ROOT, ceiling_seconds, has_bfloat16_unit, processor, run_part, set_up_host
from checkouts import sources as sources_of

# Rows, columns, batch: DDFlow's KITTI crop of two pairs, DWARF's FlyingThings3D-sized crop of one scene.
MODELS = {"ddflow": (320, 896, 2), "dwarf": (320, 896, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--against", default=BEFORE, help="a checkout or commit of flowdistill")
    parser.add_argument("--size", help="rows x columns, for example 128x256")
    parser.add_argument("--steps", type=int, default=3, help="timed steps per process")
    parser.add_argument("--rounds", type=int, default=3, help="processes per version, alternating")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed"])
    parser.add_argument("--compile", action="store_true", help="compile this version only")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "ROOT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options)))
        return
    if options.precision != "32-true" and not has_bfloat16_unit():
        raise SystemExit(f"{processor()} has no unit for bfloat16: it would be emulated, which says nothing")
    threads = f"{options.threads} threads" if options.threads > 1 else "1 thread"
    print(f"{processor()}, {threads}, {options.rounds} processes of {options.steps} steps each")
    with tempfile.TemporaryDirectory() as scratch:
        versions = {"this": ROOT, "other": sources_of(options.against, Path(scratch))}
        for model in options.models:
            compare(model, versions, options)


def compare(model: str, versions: dict[str, Path], options: argparse.Namespace) -> None:
    """Time both versions in turns, and print their medians, spread and ratios."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in versions}
    for _ in range(options.rounds):
        for name, root in versions.items():
            arguments = ["--one", model, str(root), "--steps", str(options.steps)]
            arguments += ["--threads", str(options.threads), "--precision", options.precision]
            arguments += ["--size", options.size] if options.size else []
            arguments += ["--compile"] if options.compile and name == "this" else []
            found[name].append(run_part(__file__, root, options.threads, arguments))
    medians, peaks = {}, {}
    for name, runs in found.items():
        seconds = sorted(s for each in runs for s in each["seconds"])
        medians[name] = statistics.median(seconds)
        peaks[name] = statistics.median(each["peak_gigabytes"] for each in runs)
        units = medians[name] / min(each["unit"] for each in runs)
        print(
            f"{model:7s} {runs[0]['shape']:12s} {name:6s} median {medians[name]:.2f} s per step "
            f"({seconds[0]:.2f}..{seconds[-1]:.2f}), {units:.1f} units, peak {peaks[name]:.2f} GB, "
            f"loss {runs[0]['loss']:.8g}, gradient norm {runs[0]['norm']:.8g}"
        )
    one, other = (found[name][0] for name in ("this", "other"))
    print(
        f"{model:7s} this / other: time {medians['this'] / medians['other']:.2f}, "
        f"peak memory {peaks['this'] / peaks['other']:.2f}, relative difference of the loss "
        f"{abs(one['loss'] / other['loss'] - 1):.1e}, of the gradient norm {abs(one['norm'] / other['norm'] - 1):.1e}"
    )


def measure(model: str, root: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of each step after the first, the process's peak memory, and the first step's values."""
    import pytorch_lightning as pl
    import torch

    set_up_host(Path(root), predict=False)
    rows, columns, batch = MODELS[model]
    if options.size:
        rows, columns = map(int, options.size.split("x"))
    pl.seed_everything(0, verbose=False)
    torch.set_num_threads(options.threads)
    data = batch_of(rows, columns, batch)
    module = module_of(model, options.compile)
    clock = _clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=options.steps + 1, max_epochs=-1, logger=False, callbacks=[clock],
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            log_every_n_steps=1000, default_root_dir=folder, precision=options.precision,
        )  # fmt: skip
        trainer.fit(module, torch.utils.data.DataLoader([data] * (options.steps + 1), batch_size=None))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "shape": f"{batch}x{rows}x{columns}",
        "seconds": clock.seconds[1:],
        "peak_gigabytes": peak,
        "unit": ceiling_seconds(),
        "loss": clock.loss,
        "norm": clock.norm,
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
            self.loss = self.norm = float("nan")

        def on_train_batch_start(self, *_: Any) -> None:
            self.started = time.perf_counter()

        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            if not self.seconds:
                squares = [p.grad.double().square().sum() for p in module.parameters() if p.grad is not None]
                self.norm = float(sum(squares)) ** 0.5

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            if not self.seconds:
                self.loss = float(outputs["loss"])
            self.seconds.append(time.perf_counter() - self.started)

    return Clock()


if __name__ == "__main__":
    main()
