"""A network as a function of named images to named motions, as every export format needs it.

images    # (B, 3, H, W) RGB in [0, 1]
flow      # (B, 2, H, W) px;    disparity   # (B, 1, H, W) px, positive, not clipped
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from flowdistill.errors import UserError
from flowdistill.networks import DDFlowNet, Dwarf
from flowdistill.networks.ddflow import SMALLEST_SIZE

MULTIPLE = 64  # of DWARF's sizes, and of sizes that are left open
# Of an open size: a coarsest level of one row or column would be traced as a constant.
SMALLEST_OPEN, LARGEST_OPEN = 2 * MULTIPLE, 64 * MULTIPLE


class SceneFlowGraph(nn.Module):
    """DWARF: four images to flow and both disparities at image size."""

    inputs = ("left_t0", "right_t0", "left_t1", "right_t1")
    outputs = ("flow", "disparity_t0", "disparity_t1")

    def __init__(self, network: Dwarf) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, left_t0: Tensor, right_t0: Tensor, left_t1: Tensor, right_t1: Tensor
    ) -> tuple[Tensor, ...]:
        motion = self.network(left_t0, right_t0, left_t1, right_t1).full
        return motion.flow, motion.disparity_t0, motion.disparity_t1


class FlowGraph(nn.Module):
    """DDFlow: two images to the flow in both directions at image size."""

    inputs = ("left_t0", "left_t1")
    outputs = ("flow", "flow_backward")

    def __init__(self, network: DDFlowNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, left_t0: Tensor, left_t1: Tensor) -> tuple[Tensor, ...]:
        forward, backward = self.network(left_t0, left_t1)
        return forward.full, backward.full


Graph = SceneFlowGraph | FlowGraph


def graph_of(network: nn.Module) -> Graph:
    """Return the network's graph, in evaluation mode.

    Raises:
        TypeError: it is neither a `Dwarf` nor a `DDFlowNet`.

    Examples:
        >>> from flowdistill.export.network import graph_of
        >>> from flowdistill.networks import DDFlowNet
        >>> graph_of(DDFlowNet(width=0.125)).outputs
        ('flow', 'flow_backward')
    """
    if isinstance(network, Dwarf):
        return SceneFlowGraph(network).eval()
    if isinstance(network, DDFlowNet):
        return FlowGraph(network).eval()
    raise TypeError(f"{type(network).__name__} cannot be exported; use Dwarf or DDFlowNet")


def check_size(graph: Graph, size: tuple[int, int], dynamic: bool) -> None:
    """Raise UserError if the network cannot be exported for images of (rows, columns)."""
    rows, columns = size
    whole = rows % MULTIPLE == 0 and columns % MULTIPLE == 0
    if (dynamic or isinstance(graph, SceneFlowGraph)) and not whole:
        up = f"{-(-rows // MULTIPLE) * MULTIPLE}x{-(-columns // MULTIPLE) * MULTIPLE}"
        reason = "an open size (--dynamic) means" if dynamic else "DWARF needs"
        raise UserError(
            f"--size: {rows}x{columns}: {reason} multiples of {MULTIPLE}; use {up} and pad the images "
            "(flowdistill.ops.padding.pad_to_multiple does it as the training does)"
        )
    lowest = SMALLEST_OPEN if dynamic else SMALLEST_SIZE
    if min(size) < lowest:
        what = "of an open size (--dynamic) " if dynamic else ""
        raise UserError(f"--size: {rows}x{columns}: both sides {what}must be at least {lowest}")


def description(graph: Graph) -> dict[str, Any]:
    """Return the inputs and outputs with shapes and units, for the metadata of a file."""
    motions = {
        "flow": "(B, 2, H, W) px, x right then y down, left_t0 -> left_t1, on the grid of left_t0",
        "flow_backward": "(B, 2, H, W) px, left_t1 -> left_t0, on the grid of left_t1",
        "disparity_t0": "(B, 1, H, W) px, positive (not clipped), on the grid of left_t0",
        "disparity_t1": "(B, 1, H, W) px, at t1, of the point seen at left_t0",
    }
    return {
        "inputs": dict.fromkeys(graph.inputs, "(B, 3, H, W) float32 RGB in [0, 1]"),
        "outputs": {name: motions[name] for name in graph.outputs},
    }
