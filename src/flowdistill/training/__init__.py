"""The LightningModules: they wire networks, losses and metrics together."""

from flowdistill.training.checkpoints import Checkpoints
from flowdistill.training.ddflow import DDFlowModule
from flowdistill.training.dwarf import DwarfModule
from flowdistill.training.guards import NonFiniteLossError

__all__ = ["Checkpoints", "DDFlowModule", "DwarfModule", "NonFiniteLossError"]
