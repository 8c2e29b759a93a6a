"""A checkpoint of a narrow network with random weights, as far as prediction needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn


def saved(kind: type[nn.Module], path: Path, width: float = 0.125) -> Path:
    torch.manual_seed(0)
    network: Any = kind(width)
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": {"width": width}}, path)
    return path
