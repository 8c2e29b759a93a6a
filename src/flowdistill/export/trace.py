"""From a network to an exported program of standard operators."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from flowdistill.export.network import LARGEST_OPEN, MULTIPLE, SMALLEST_OPEN, Graph
from flowkernels.standard_operators import standard_operators


def traced(graph: Graph, images: tuple[Tensor, ...], dynamic: bool) -> ExportedProgram:
    """Trace the graph for images (B, 3, H, W); with `dynamic`, H and W are open (multiples of 64, 128 to 4,096).

    Examples:
        >>> import torch
        >>> from flowdistill.export.network import graph_of
        >>> from flowdistill.export.trace import traced
        >>> from flowdistill.networks import DDFlowNet
        >>> images = tuple(torch.rand(2, 1, 3, 64, 128))
        >>> program = traced(graph_of(DDFlowNet(width=0.0625)), images, dynamic=False)
        >>> flow, _ = program.module()(*images)
        >>> flow.shape
        torch.Size([1, 2, 64, 128])
    """
    shapes = None
    if dynamic:
        lowest, highest = SMALLEST_OPEN // MULTIPLE, LARGEST_OPEN // MULTIPLE
        rows, columns = (Dim(name, min=lowest, max=highest) * MULTIPLE for name in ("rows", "columns"))
        shapes = tuple({2: rows, 3: columns} for _ in images)
    with quiet(), torch.no_grad():
        program = torch.export.export(graph, images, dynamic_shapes=shapes, strict=False)
        return program.run_decompositions(standard_operators())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporters' warnings about optional packages and deprecations."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
