"""Selection of the implementation: Triton kernels, or plain PyTorch.

Triton kernels run on CUDA tensors of float32, float16 and bfloat16 where Triton is installed. Everything else (the
CPU, other devices, float64, platforms without Triton) runs on plain PyTorch, with the same results.

    flowkernels.backend()              # the backend of this machine's default device, and the reason
    flowkernels.set_backend("torch")   # plain PyTorch everywhere
    flowkernels.set_backend("triton")  # Triton, or an error; never a silent fallback

The environment variable FLOWKERNELS_BACKEND (auto, triton, torch) sets the initial choice of a process. With
TRITON_INTERPRET=1, Triton's interpreter runs the kernels on CPU tensors, slowly, for tests.
"""

from __future__ import annotations

import functools
import importlib
import os
from typing import Any, Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor

Choice = Literal["auto", "triton", "torch"]
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
VARIABLE = "FLOWKERNELS_BACKEND"
OLDEST_TORCH = "2.7"  # register_autocast

if not hasattr(torch.library, "register_autocast"):
    raise ImportError(
        f"flowkernels needs torch {OLDEST_TORCH} or newer, found {torch.__version__}: "
        f"pip install 'torch>={OLDEST_TORCH}'"
    )


class BackendError(RuntimeError):
    """Triton was requested but cannot run, or the backend is unknown.

    Examples:
        >>> import flowkernels
        >>> try:
        ...     flowkernels.set_backend("cuda")
        ... except flowkernels.BackendError as error:
        ...     print(error)
        the backend must be one of auto, triton, torch, got 'cuda'
    """


class Backend(NamedTuple):
    """The backend of a device, and the reason for the choice.

    Examples:
        >>> import flowkernels
        >>> flowkernels.set_backend("torch")
        >>> print(flowkernels.backend("cpu"))
        torch (chosen by set_backend or FLOWKERNELS_BACKEND)
        >>> flowkernels.set_backend("auto")
    """

    name: Literal["triton", "torch"]
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def _checked(choice: str, source: str) -> Choice:
    if choice not in get_args(Choice):
        raise BackendError(f"{source} must be one of {', '.join(get_args(Choice))}, got {choice!r}")
    return cast(Choice, choice)


# Validated at first use, so that an invalid value does not make the import fail.
_choice: str = os.environ.get(VARIABLE, "auto")


def set_backend(choice: Choice) -> None:
    """Set the backend of this process.

    Args:
        choice: "auto" uses Triton where it can run; "torch" uses plain PyTorch everywhere; "triton" uses Triton or
            raises `BackendError`.

    Raises:
        BackendError: an unknown choice.

    Examples:
        >>> import flowkernels
        >>> flowkernels.set_backend("torch")
        >>> flowkernels.backend("cpu").name
        'torch'
        >>> flowkernels.set_backend("auto")
    """
    global _choice
    _choice = _checked(choice, "the backend")


def backend(device: torch.device | str | None = None, dtype: torch.dtype = torch.float32) -> Backend:
    """Return the backend for tensors of a device (default: CUDA if there is a GPU, else the CPU) and dtype.

    Raises:
        BackendError: Triton was requested but cannot run there; the message gives the reason.

    Examples:
        >>> import flowkernels
        >>> flowkernels.backend("cpu").name
        'torch'
        >>> flowkernels.backend("cpu").reason
        'a CPU has no Triton kernels, except for tests under TRITON_INTERPRET=1'
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return _backend(torch.device(device).type, dtype, _choice)


def use_triton(tensor: Tensor) -> bool:
    """Return whether Triton kernels run for a tensor of this device and dtype.

    Raises:
        BackendError: Triton was requested but cannot run there.
    """
    return _backend(tensor.device.type, tensor.dtype, _choice).name == "triton"


def interpreted() -> bool:
    """Return whether Triton's interpreter replaces the GPU."""
    return os.environ.get("TRITON_INTERPRET", "0") not in ("", "0")


def kernels(name: str) -> Any:
    """Return a module of `flowkernels.triton_kernels`, imported at first use since importing Triton is slow."""
    return importlib.import_module(f"flowkernels.triton_kernels.{name}")


@functools.cache
def _missing_triton() -> str | None:
    """Return the reason why Triton cannot be imported, or None."""
    try:
        importlib.import_module("triton")
    except ImportError as error:
        return f"Triton is not installed: {error}"
    return None


@functools.cache
def _backend(device: str, dtype: torch.dtype, text: str) -> Backend:
    choice = _checked(text, VARIABLE)
    if choice == "torch":
        return Backend("torch", "chosen by set_backend or FLOWKERNELS_BACKEND")
    reason = _why_not_triton(device, dtype, choice)
    if reason is None:
        return Backend("triton", "its interpreter" if device == "cpu" else "compiled for this GPU")
    if choice == "triton":
        raise BackendError(
            f'the backend "triton" was requested but cannot run here: {reason}. Choose "auto" or "torch" '
            f"(flowkernels.set_backend, {VARIABLE}), or use a CUDA tensor of {', '.join(map(str, DTYPES))}"
        )
    return Backend("torch", reason)


def _why_not_triton(device: str, dtype: torch.dtype, choice: Choice) -> str | None:
    if device == "cpu" and not (choice == "triton" and interpreted()):
        return "a CPU has no Triton kernels, except for tests under TRITON_INTERPRET=1"
    if device not in ("cpu", "cuda"):
        return f"no Triton kernels for {device}"
    if dtype not in DTYPES:
        return f"no Triton kernels for {dtype}"
    return _missing_triton()
