"""Overhead of DDP in a training step on a CPU: two processes of one thread each against one, same batch per process.

    python benchmarks/ddp_overhead.py [--steps 12] [--size 192x384] [--batch 2]

DWARF at its published size, pre-training loss, through a real Trainer; both run alternately, several times. Prints the
median step of each and their ratio. The second process runs on the second core, so that 1.00 means no overhead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from flowdistill.training import DwarfModule, StopTogether

KEYS = ("flow", "disparity_t0", "disparity_t1")


class Times(pl.Callback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.last: float | None = None

    def on_train_batch_end(self, *_: Any) -> None:
        now = time.perf_counter()
        if self.last is not None:
            self.seconds.append(now - self.last)
        self.last = now


def batch(samples: int, height: int, width: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    made: dict[str, Any] = {
        name: torch.rand(samples, 3, height, width, generator=generator)
        for name in ("left_t0", "right_t0", "left_t1", "right_t1")
    }
    for key in KEYS:
        made[key] = 20 * torch.rand(samples, 2 if key == "flow" else 1, height, width, generator=generator)
        made[f"valid_{key}"] = torch.ones(samples, 1, height, width, dtype=torch.bool)
    made["name"] = [str(number) for number in range(samples)]
    return made


def train(processes: int, steps: int, samples: int, height: int, width: int) -> list[float]:
    torch.set_num_threads(1)
    times = Times()
    options: dict[str, Any] = {"devices": processes, "strategy": "ddp"} if processes > 1 else {}
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=50,
        callbacks=[times, StopTogether(["lightning", "fit"])], **options,
    )  # fmt: skip
    data = [batch(samples, height, width)] * steps
    trainer.fit(
        DwarfModule("dense_multilevel", {2: 0.005, 3: 0.01, 4: 0.02, 5: 0.08, 6: 0.32}),
        torch.utils.data.DataLoader(data, batch_size=None),
    )
    return times.seconds[1:]  # the first one still allocates


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="192x384")
    parser.add_argument("--batch", type=int, default=2, help="samples per process")
    parser.add_argument("--processes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    if options.processes:
        seconds = train(options.processes, options.steps, options.batch, height, width)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            options.write.write_text(json.dumps(seconds))
        return
    found: dict[int, list[float]] = {1: [], 2: []}
    write = Path(f"/tmp/ddp_overhead_{os.getpid()}.json")
    for _ in range(options.rounds):
        for processes, seconds in found.items():
            words = [
                sys.executable, __file__, "--processes", str(processes), "--write", str(write),
                "--steps", str(options.steps), "--size", options.size, "--batch", str(options.batch),
            ]  # fmt: skip
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run(
                words, check=True, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            seconds += json.loads(write.read_text())
    write.unlink()
    medians = {processes: statistics.median(seconds) for processes, seconds in found.items()}
    for processes, seconds in found.items():
        low, _, high = statistics.quantiles(seconds, n=4)
        print(
            f"{processes} process(es): {medians[processes]:.3f} s per step (quartiles {low:.3f} and {high:.3f}, "
            f"{len(seconds)} steps)"
        )
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    print(
        f"ratio {medians[2] / medians[1]:.3f}; DWARF {options.batch}x{height}x{width}, {model}, "
        f"torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
