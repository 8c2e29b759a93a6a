"""Weights of an earlier stage of ours: `init_from` in a config.

Not `--ckpt_path`: that one resumes the same run with its step counter, optimiser and hyper-parameters.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from flowdistill.errors import UserError

PREFIX = "network."  # where our LightningModules keep the network


def init_from(network: nn.Module, checkpoint: str | Path) -> str:
    """Fill a network from a Lightning checkpoint of ours and say what was filled from where.

    Raises:
        UserError: the file is missing or no checkpoint, or its network is another one; nothing is loaded.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise UserError(f"init_from: {path} does not exist; give the .ckpt file of the earlier stage")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise UserError(f"init_from: {path} cannot be read as a checkpoint: {error}") from error
    state = stored.get("state_dict") if isinstance(stored, dict) else None
    if not isinstance(state, dict):
        raise UserError(
            f"init_from: {path} holds no `state_dict`; give a checkpoint that `lightning fit` wrote"
        )
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    problems = _differences(weights, network.state_dict())
    if problems:
        shown = "\n  ".join(problems[:5])
        raise UserError(
            f"init_from: {path} does not fit {type(network).__name__}, nothing was loaded "
            f"({len(problems)} differences; another model or another `width`?):\n  {shown}"
        )
    network.load_state_dict(weights)
    step = stored.get("global_step", "unknown")
    return f"filled all {len(weights)} tensors of {type(network).__name__} from {path} (step {step})"


def _differences(weights: dict[str, Tensor], own: dict[str, Tensor]) -> list[str]:
    problems = [f"missing: {name}" for name in own if name not in weights]
    problems += [f"unexpected: {name}" for name in weights if name not in own]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(value.shape)}"
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    ]
    return problems
