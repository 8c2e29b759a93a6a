"""Finds, without a GPU, where a program would make the host wait for a device, or copy to it.

The meta device stands for the GPU: its tensors have shapes and no values, so that what needs a value fails. The two
modes here name the place instead, and also see what the meta device lets pass, such as `torch.tensor(...)` on it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("meta")
ROOT = Path(__file__).parents[1]
# What needs a device's values on the host, by itself or for the size of its result.
WAITS = {
    "_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "unique_dim", "_unique", "_unique2",
    "unique_consecutive", "repeat_interleave", "bincount", "_assert_tensor_metadata", "isin",
}  # fmt: skip
# What makes a tensor of the host's numbers, in C++ where no operator shows.
MAKERS = {torch.tensor, torch.as_tensor, torch.from_numpy, torch.asarray, Tensor.new_tensor}


class Traffic:
    """Places, each `what file:line`."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.copies: list[str] = []

    @property
    def all(self) -> list[str]:
        return self.waits + self.copies


@contextmanager
def watched(traffic: Traffic) -> Iterator[Traffic]:
    with _Makers(traffic), _Operators(traffic):
        yield traffic


class _Operators(TorchDispatchMode):
    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self.traffic = traffic

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.partition("::")[2]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_device = [tensor for tensor in tensors if tensor.device == DEVICE]
        target = kwargs.get("device")
        if on_device and (name in WAITS or _has_mask_index(name, args)):
            self.traffic.waits.append(_place(name))
        elif on_device and target is not None and torch.device(target) != DEVICE:
            self.traffic.waits.append(_place(f"{name} to {target}"))
        elif not on_device and tensors and target is not None and torch.device(target) == DEVICE:
            self.traffic.copies.append(_place(name))
        # A scalar of the host goes along as an argument of the kernel.
        elif on_device and any(tensor.device != DEVICE and tensor.dim() > 0 for tensor in tensors):
            self.traffic.copies.append(_place(name))
        elif name == "copy_" and len({tensor.device for tensor in tensors}) > 1:
            self.traffic.copies.append(_place(name))
        return func(*args, **kwargs)


class _Makers(TorchFunctionMode):
    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self.traffic = traffic

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in MAKERS and result.device == DEVICE and not (args and args[0] is result):
            self.traffic.copies.append(_place(getattr(func, "__name__", str(func))))
        return result


def _has_mask_index(name: str, args: tuple[Any, ...]) -> bool:
    """Whether it picks by a mask: how many, only the values say."""
    if name not in ("index", "index_put", "index_put_") or len(args) < 2:
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _place(what: str) -> str:
    """Where our own code is, or else the innermost frame that is not torch's."""
    frames = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT / "src")]
    own += [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT / "kernels")]
    others = [frame for frame in frames if "/torch/" not in frame.filename] or frames
    frame = (own or others)[-1]
    file = Path(frame.filename)
    return f"{what} {file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}:{frame.lineno}"
