"""flowdistill: optical flow and scene flow trained by distillation, on PyTorch Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["load"]

if TYPE_CHECKING:  # torch takes a second to import, Lightning five
    from flowdistill.inference.predictor import load as load


def __getattr__(name: str) -> Any:
    if name != "load":
        raise AttributeError(f"module 'flowdistill' has no attribute {name!r}")
    from flowdistill.inference.predictor import load

    return load
