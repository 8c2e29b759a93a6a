"""Load the model of a flowdistill checkpoint, ready to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from flowdistill.errors import UserError
from flowdistill.processes import local_rank
from flowdistill.training import DDFlowModule, DwarfModule
from flowdistill.training.base import MotionModule
from flowdistill.training.init_from import evaluated_checkpoint, network_weights, read_checkpoint

DEVICES = ("auto", "cpu", "cuda")
_ENCODER_OF_DDFLOW, _ENCODER_OF_DWARF = "network.extractor.", "network.encoder."


def load_model(path: Path, option: str, device: str = "auto") -> MotionModule:
    """Load the model of a checkpoint of `lightning fit`, in evaluation mode.

    The model is determined from the names of its weights, its width from the hyper-parameters. Of a student and a
    teacher that were trained together, it is the one that their run evaluated.

    Args:
        path: the checkpoint.
        option: the command's option that named it, for errors.
        device: one of `DEVICES`; auto uses a GPU if there is one.

    Raises:
        UserError: it is not a flowdistill checkpoint, or the device is missing.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from flowdistill.inference.load import load_model
        >>> from flowdistill.networks import DDFlowNet
        >>> weights = {f"network.{name}": value for name, value in DDFlowNet(width=0.125).state_dict().items()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "last.ckpt")
        ...     torch.save({"state_dict": weights, "hyper_parameters": {"width": 0.125}}, path)
        ...     model = load_model(path, "--checkpoint", device="cpu")
        >>> type(model).__name__, model.network.width, model.training
        ('DDFlowModule', 0.125, False)
    """
    place = choose_device(device)
    stored = evaluated_checkpoint(read_checkpoint(path, option), f"{option}: {path}")
    width = stored.get("hyper_parameters", {}).get("width", 1.0)
    if not isinstance(width, int | float) or not 0 < width < 100:
        raise UserError(f"{option}: {path}: its hyper-parameter width is {width!r}, not a positive number")
    names = list(stored["state_dict"])
    if any(name.startswith(_ENCODER_OF_DDFLOW) for name in names):
        model = model_of("ddflow", float(width))
    elif any(name.startswith(_ENCODER_OF_DWARF) for name in names):
        model = model_of("dwarf", float(width))
    else:
        raise UserError(
            f"{option}: {path} is neither a DDFlow nor a DWARF checkpoint; give a .ckpt file of one of them"
        )
    model.network.load_state_dict(network_weights(stored, model.network, f"{option}: {path}"))
    return model.eval().to(place)


def model_of(network: Literal["ddflow", "dwarf"], width: float) -> MotionModule:
    """Return an untrained module for prediction: its losses are not used, so any value works.

    Examples:
        >>> from flowdistill.inference.load import model_of
        >>> type(model_of("ddflow", 0.125).network).__name__
        'DDFlowNet'
    """
    if network == "ddflow":
        return DDFlowModule(losses={"census_no_occlusion": 1.0}, width=width)
    return DwarfModule(loss="sparse_full_resolution", alphas={2: 1.0}, width=width)


def choose_device(device: str) -> torch.device:
    """Return the GPU of this rank under torchrun (inherited by worker processes); else the first GPU, or the CPU.

    Raises:
        UserError: cuda is requested and there is no GPU.

    Examples:
        >>> from flowdistill.inference.load import choose_device
        >>> choose_device("cpu")
        device(type='cpu')
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("--device cuda: torch finds no usable GPU; use --device cpu")
    if device == "cpu" or not available:
        return torch.device("cpu")
    return torch.device("cuda", local_rank() % torch.cuda.device_count())
