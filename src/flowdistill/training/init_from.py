"""Load the weights of an earlier stage: `init_from` in a config.

Unlike `--ckpt_path`, which resumes the same run with its step counter, optimiser and hyper-parameters.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from flowdistill import renamed
from flowdistill.data.notes import note
from flowdistill.errors import UserError

PREFIX = "network."  # the network's attribute in the LightningModules
SAFETENSORS = ".safetensors"  # weights alone, which `flowdistill export --format safetensors` writes
WIDTH = "flowdistill.width"  # in the metadata of such a file
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError, OSError)
_TOLD = ("loss", "losses", "alphas", "width", "init_from")  # hyper-parameters that distinguish runs


def init_from(network: nn.Module, checkpoint: str | Path) -> str:
    """Load a network's weights from a flowdistill checkpoint; returns a summary of what was loaded.

    Raises:
        UserError: the file is missing or not a checkpoint, or is of another network; nothing is loaded.

    Examples:
        >>> import tempfile
        >>> import torch
        >>> from flowdistill.training.init_from import init_from
        >>> from flowdistill.networks import DDFlowNet
        >>> teacher, student = DDFlowNet(width=0.125), DDFlowNet(width=0.125)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     weights = {f"network.{name}": value for name, value in teacher.state_dict().items()}
        ...     torch.save({"state_dict": weights, "global_step": 500}, f"{folder}/last.ckpt")
        ...     told = init_from(student, f"{folder}/last.ckpt")
        >>> all(torch.equal(*pair) for pair in zip(teacher.parameters(), student.parameters()))
        True
        >>> told
        'filled all 98 tensors of DDFlowNet (extractor 24, ...) from ...last.ckpt (step 500)'
    """
    path = Path(checkpoint)
    stored = evaluated_checkpoint(read_checkpoint(path, "init_from", bare=True), f"init_from: {path}")
    weights = network_weights(stored, network, f"init_from: {path}")
    network.load_state_dict(weights)
    parts = Counter(name.partition(".")[0] for name in weights)
    filled = ", ".join(f"{part} {count}" for part, count in parts.items())
    return f"filled all {len(weights)} tensors of {type(network).__name__} ({filled}) from {describe_run(stored, path)}"


def describe_run(stored: Mapping[str, Any], path: Path) -> str:
    """Describe a checkpoint's run: its file, step, and training settings as far as the checkpoint has them."""
    settings = renamed.settings(stored.get("hyper_parameters", {}))
    told = [f"{name} {settings[name]}" for name in _TOLD if settings.get(name) is not None]
    config = path.parent.parent / "config.yaml"  # RUN/checkpoints/last.ckpt
    told += [f"config {config}"] if config.is_file() else []
    return f"{path} (step {stored.get('global_step', 'unknown')})" + (f": {', '.join(told)}" if told else "")


def read_checkpoint(path: Path, option: str, bare: bool = False) -> dict[str, Any]:
    """Read a checkpoint of `lightning fit`, or weights alone as .safetensors, on the CPU; no code is run.

    Args:
        path: the file.
        option: the option that named it, for messages.
        bare: whether a bare network `state_dict` is accepted.

    Raises:
        UserError: it is missing, cannot be read or is not a checkpoint; the message starts with `option`.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from flowdistill.training.init_from import read_checkpoint
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "last.ckpt")
        ...     torch.save({"state_dict": {"network.w": torch.ones(2)}, "global_step": 500}, path)
        ...     read_checkpoint(path, "--checkpoint")
        {'state_dict': {'network.w': tensor([1., 1.])}, 'global_step': 500}
    """
    advice = "give a .ckpt file that `lightning fit` wrote"
    if not path.is_file():
        raise UserError(f"{option}: {path} does not exist or is not a file; {advice}")
    if path.suffix.lower() == SAFETENSORS:
        return _read_safetensors(path, option)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        # A pickle reader's message about a file that is not a pickle does not help; the error's type is enough.
        raise UserError(f"{option}: {path} is not a checkpoint ({type(error).__name__}); {advice}") from error
    if isinstance(stored, dict) and stored and all(isinstance(value, Tensor) for value in stored.values()):
        if bare:
            return {"state_dict": stored}
        raise UserError(
            f"{option}: {path} contains weights only (a bare state dict). Use --model.init_args.init_from instead."
        )
    if not isinstance(stored, dict) or not isinstance(stored.get("state_dict"), dict):
        raise UserError(f"{option}: {path} has no `state_dict`; {advice}")
    return stored


def _read_safetensors(path: Path, option: str) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as stored:
            told = stored.metadata() or {}
            tensors = {PREFIX + name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        width = float(told.get(WIDTH, 1.0))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{option}: {path} is damaged or not a .safetensors file of weights: {error}; export it again "
            "(flowdistill export --format safetensors)"
        ) from error
    return {"state_dict": tensors, "hyper_parameters": {"width": width}}


def evaluated_checkpoint(stored: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a checkpoint whose network is the one that its run evaluated.

    A run with `JointTeacher(evaluated="teacher")` trains two networks and evaluates the teacher: it replaces the
    student as `network.*`, also in `width`, and a line says so. Other checkpoints come back as they are, and so does
    one from before the teacher started: until then the student stands in for it.

    Args:
        stored: the checkpoint's content; not changed.
        where: the option and file, for the message.

    Examples:
        >>> import torch
        >>> from flowdistill.training.init_from import evaluated_checkpoint
        >>> settings = {"width": 0.5, "teacher": {"init_args": {"evaluated": "teacher"}}}
        >>> state = {"network.w": torch.zeros(1), "teacher.network.w": torch.ones(1),
        ...          "teacher.width": torch.tensor(0.25), "teacher.started_at": torch.tensor(0)}
        >>> chosen = evaluated_checkpoint({"state_dict": state, "hyper_parameters": settings}, "init_from: last.ckpt")
        >>> chosen["state_dict"], chosen["hyper_parameters"]["width"]
        ({'network.w': tensor([1.])}, 0.25)
    """
    settings = dict(stored.get("hyper_parameters") or {})
    teacher = settings.get("teacher") or {}
    state: Mapping[str, Tensor] = stored["state_dict"]
    chosen = (teacher.get("init_args") or {}).get("evaluated") == "teacher"
    if not chosen or int(state["teacher.started_at"]) < 0:
        return dict(stored)
    note(f"{where}: of its two networks, the teacher that was trained along (evaluated: teacher)")
    prefix = f"teacher.{PREFIX}"
    weights = {
        PREFIX + name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    settings["width"] = float(state["teacher.width"])
    return {**stored, "state_dict": weights, "hyper_parameters": settings}


def network_weights(stored: Mapping[str, Any], network: nn.Module, where: str) -> dict[str, Tensor]:
    """Return the network's weights from a checkpoint of flowdistill's LightningModules.

    Raises:
        UserError: they are of another network or another width; the message starts with `where`.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from flowdistill.training.init_from import network_weights
        >>> stored = {"state_dict": {"network.weight": torch.ones(1, 2), "loss.scale": torch.ones(1)}}
        >>> network_weights(stored, nn.Linear(2, 1, bias=False), "init_from: last.ckpt")
        {'weight': tensor([[1., 1.]])}
    """
    state: dict[str, Tensor] = stored["state_dict"]
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    if not weights and set(state) == set(network.state_dict()):
        weights = dict(state)  # the network's own state dict
    problems = _differences(weights, network.state_dict())
    if problems:
        shown = "\n  ".join(problems[:5])
        raise UserError(
            f"{where} does not fit {type(network).__name__}, nothing was loaded "
            f"({len(problems)} differences; another model or another `width`?):\n  {shown}"
        )
    return weights


def _differences(weights: dict[str, Tensor], own: dict[str, Tensor]) -> list[str]:
    problems = [f"missing: {name}" for name in own if name not in weights]
    problems += [f"unexpected: {name}" for name in weights if name not in own]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(value.shape)}"
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    ]
    return problems
