"""Find, without a GPU, where a program would make the host wait for a device, or copy to it.

The meta device replaces the GPU: its tensors have shapes but no values, so that operators which need a value fail. This
module reports the place, and also detects what the meta device allows, such as `torch.tensor(...)` on it. It does not
detect an index that is a Python list, which is copied to the device.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("meta")
ROOT = Path(__file__).parents[1]
# Operators that need a device's values on the host, directly or for the size of their result.
WAITS = {
    "_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "bincount", "repeat_interleave",
    "unique_dim", "unique_consecutive", "_unique", "_unique2",
}  # fmt: skip
# Functions that create a tensor from host numbers; on the meta device, no operator reveals this.
MAKERS = ((torch, "tensor"), (torch, "as_tensor"), (torch, "asarray"), (Tensor, "new_tensor"))


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
    """Notes what happens inside, in backward passes too. Calls it a copy where `torch.tensor` gives a device tensor."""
    with ExitStack() as open_:
        for owner, name in MAKERS:
            open_.enter_context(patch.object(owner, name, _noting(getattr(owner, name), name, traffic)))
        open_.enter_context(_Operators(traffic))
        yield traffic


def _noting(make: Callable[..., Tensor], name: str, traffic: Traffic) -> Callable[..., Tensor]:
    def noting(*args: Any, **kwargs: Any) -> Tensor:
        result = make(*args, **kwargs)
        if result.device == DEVICE and not any(result is value for value in args):
            traffic.copies.append(_place(name))
        return result

    return noting


class _Operators(TorchDispatchMode):
    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self.traffic = traffic

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.partition("::")[2]
        kind = _kind(name, args, kwargs or {})
        if kind is not None:
            getattr(self.traffic, kind).append(_place(name))
        return func(*args, **(kwargs or {}))


def _kind(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Literal["waits", "copies"] | None:
    """Return what an operator makes the host do."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    places = {tensor.device == DEVICE for tensor in tensors}
    if "device" in kwargs and kwargs["device"] is not None and tensors:
        places.add(torch.device(kwargs["device"]) == DEVICE)
        if len(places) > 1:
            return "waits" if tensors[0].device == DEVICE else "copies"
    if places == {True} and (name in WAITS or _picks_by_mask(name, args)):
        return "waits"
    if len(places) > 1 and name == "copy_":
        return "copies" if args[0].device == DEVICE else "waits"
    # A host scalar is passed as an argument of the kernel.
    if len(places) > 1 and any(tensor.device != DEVICE and tensor.dim() > 0 for tensor in tensors):
        return "copies"
    return None


def _picks_by_mask(name: str, args: tuple[Any, ...]) -> bool:
    """Whether the number of values is only known on the device."""
    if name not in ("index", "index_put", "index_put_"):
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _place(what: str) -> str:
    """Return the innermost line outside torch and, if it is in a library, our line that led to it."""
    frames = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
    frames = [frame for frame in frames if "/torch/" not in frame.filename] or frames
    own = [frame for frame in frames if _is_ours(Path(frame.filename))]
    place = f"{what} {_line(frames[-1])}"
    return place if frames[-1] in own or not own else f"{place} from {_line(own[-1])}"


def _line(frame: traceback.FrameSummary) -> str:
    file = Path(frame.filename)
    return f"{file.relative_to(ROOT) if _is_ours(file) else file.name}:{frame.lineno}"


def _is_ours(file: Path) -> bool:
    # The environment may be inside the repository: .venv.
    return file.is_relative_to(ROOT) and "site-packages" not in file.parts
