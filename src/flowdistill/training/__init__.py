"""The LightningModules: they wire networks, losses and metrics together."""

from flowdistill.training.atomic_io import AtomicCheckpointIO
from flowdistill.training.checkpoints import BestCheckpoint, Checkpoints
from flowdistill.training.ddflow import DDFlowModule
from flowdistill.training.dwarf import DwarfModule
from flowdistill.training.guards import BlindRunError, NonFiniteLossError, NonFiniteWeightsError
from flowdistill.training.teachers import (
    AverageTeacher,
    CheckpointTeacher,
    OfflineTeacher,
    SnapshotTeacher,
    Teacher,
)

__all__ = [
    "AtomicCheckpointIO",
    "AverageTeacher",
    "BestCheckpoint",
    "BlindRunError",
    "CheckpointTeacher",
    "Checkpoints",
    "DDFlowModule",
    "DwarfModule",
    "NonFiniteLossError",
    "NonFiniteWeightsError",
    "OfflineTeacher",
    "SnapshotTeacher",
    "Teacher",
]
