"""Training step of each model on the GPU: float32, bfloat16, compiled; time and peak memory."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from training_step import MODELS, batch_of, module_of

SETTINGS = {
    "float32": ("32-true", False),
    "bf16-mixed": ("bf16-mixed", False),
    "float32, compiled": ("32-true", True),
    "bf16-mixed, compiled": ("bf16-mixed", True),
}


class Clock(pl.Callback):
    """Measure the wall time of each step, with device synchronisation."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds = device, list[float]()

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        self.started = self._now()

    def on_train_batch_end(self, *_: Any) -> None:
        self.seconds.append(self._now() - self.started)


def step(model: str, setting: str, device: str, size: tuple[int, int] | None, steps: int) -> dict[str, float]:
    """Return median ms per step after the first three, peak device memory in GB, and seconds of the first step."""
    precision, compiled = SETTINGS[setting]
    rows, columns, batch = MODELS[model]
    rows, columns = size or (rows, columns)
    pl.seed_everything(0, verbose=False)
    data = batch_of(rows, columns, batch)
    clock = Clock(device)
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="gpu" if device == "cuda" else "cpu", devices=1, precision=precision, max_steps=steps,
            max_epochs=-1, logger=False, callbacks=[clock], enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, log_every_n_steps=1000, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(module_of(model, compiled), torch.utils.data.DataLoader([data] * steps, batch_size=None))
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else float("nan")
    return {
        "milliseconds": 1000 * statistics.median(clock.seconds[min(3, steps - 1) :]),
        "gigabytes": peak,
        "first": clock.seconds[0],
    }
