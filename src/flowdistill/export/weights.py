"""Weights alone, as a .safetensors file that `flowdistill.load`, `flowdistill infer` and `init_from` read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from flowdistill.formats import write_atomically
from flowdistill.training.init_from import PREFIX, read_checkpoint


def write_weights(network: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a network's tensors, float32 as they are, and read them back.

    Raises:
        RuntimeError: the file's content differs from the network.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from flowdistill.export.weights import write_weights
        >>> from flowdistill.networks import DDFlowNet
        >>> from flowdistill.training.init_from import init_from
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_weights(DDFlowNet(width=0.125), Path(folder, "flow.safetensors"), {"flowdistill.width": "0.125"})
        ...     told = init_from(DDFlowNet(width=0.125), Path(folder, "flow.safetensors"))
        >>> told.startswith("filled all 98 tensors")
        True
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_atomically(path, save(tensors, dict(metadata)))
    found = read_checkpoint(path, "export")["state_dict"]
    for name, value in tensors.items():
        if not torch.equal(found[PREFIX + name], value):
            raise RuntimeError(f"{path}: {name} was not written as it is")
