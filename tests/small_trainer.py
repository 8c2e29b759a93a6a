"""A quiet Trainer of a few steps on the CPU, for tests of the LightningModules."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl


def trainer(folder: Path, steps: int, **options: Any) -> pl.Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu", "max_steps": steps, "max_epochs": -1, "check_val_every_n_epoch": None,
        "val_check_interval": steps, "num_sanity_val_steps": 0, "log_every_n_steps": 1, "logger": False,
        "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": folder,
    }  # fmt: skip
    return pl.Trainer(**(defaults | options))
