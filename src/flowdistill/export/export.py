"""Export a network to a file that is executed beside it at once, and kept only if both agree."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from flowdistill import __version__
from flowdistill.errors import UserError
from flowdistill.export.formats import FORMATS
from flowdistill.export.network import LARGEST_OPEN, SMALLEST_OPEN, check_size, description, graph_of
from flowdistill.export.trace import traced
from flowdistill.export.verify import Agreement, moving_images, verified
from flowdistill.formats import FormatError
from flowdistill.inference.weights_hash import weights_hash
from flowdistill.training.init_from import WIDTH


@dataclass(frozen=True)
class Exported:
    """A written file, and how far its results are from the network's."""

    path: Path
    agreement: Agreement


def export(
    network: nn.Module,
    path: Path,
    format: str,
    size: tuple[int, int],
    dynamic: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Write a network as a file for another runtime.

    The file is written under a temporary name in the target's folder, executed beside the network and then renamed; a
    file that is there is replaced. If anything goes wrong, nothing is left and the old file stays.

    Args:
        network: a `Dwarf` or a `DDFlowNet`, in float32 on the CPU.
        path: the file.
        format: one of `FORMATS`.
        size: rows and columns of the images; multiples of 64 for DWARF.
        dynamic: leaves the size open: multiples of 64, 128 to 4,096.
        metadata: strings to store beside those that describe the network.

    Raises:
        UserError: the size does not fit, or a package or compiler is missing.
        ExportDiffersError: the exported graph's results are not the network's.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> from flowdistill.export.export import export
        >>> from flowdistill.networks import DDFlowNet
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = export(DDFlowNet(width=0.0625), Path(folder, "flow.pt2"), "torch-export", (64, 128))
        ...     flow, backward = torch.export.load(done.path).module()(*torch.rand(2, 1, 3, 64, 128))
        >>> flow.shape, done.agreement.pixels < 1e-3
        (torch.Size([1, 2, 64, 128]), True)
    """
    graph, kind = graph_of(network), FORMATS[format]
    check_size(graph, size, dynamic)
    kind.check()
    program = traced(graph, moving_images(len(graph.inputs), size, seed=0), dynamic)
    told = {**describe(network), **_sizes(size, dynamic), **(metadata or {})}
    try:
        with tempfile.TemporaryDirectory(prefix=".flowdistill-", dir=path.parent) as scratch:
            made = Path(scratch, path.name)
            kind.write(program, graph, told, made)
            agreement = verified(kind.load(made), graph, size, dynamic)
            made.replace(path)
    except FormatError as error:
        raise UserError(f"--output: {path} cannot be written: {error}") from error
    except OSError as error:
        raise UserError(f"--output: {path} cannot be written: {error.strerror or error}") from error
    return Exported(path, agreement)


def describe(network: nn.Module) -> dict[str, str]:
    """Return the metadata of a network: model, inputs and outputs with units, versions, hash of the weights."""
    graph = graph_of(network)
    told = description(graph)
    return {
        "flowdistill.version": __version__,
        "flowdistill.torch": torch.__version__,
        "flowdistill.model": type(network).__name__,
        WIDTH: f"{graph.network.width!r}",
        "flowdistill.parameters": str(sum(parameter.numel() for parameter in network.parameters())),
        "flowdistill.weights_sha256": weights_hash(network),
        **{f"flowdistill.input.{name}": text for name, text in told["inputs"].items()},
        **{f"flowdistill.output.{name}": text for name, text in told["outputs"].items()},
    }


def _sizes(size: tuple[int, int], dynamic: bool) -> dict[str, str]:
    open_size = f"multiples of 64, {SMALLEST_OPEN} to {LARGEST_OPEN}"
    rows, columns = (open_size, open_size) if dynamic else map(str, size)
    return {"flowdistill.rows": rows, "flowdistill.columns": columns}
