"""The LightningModules: they wire networks, losses and metrics together."""

from flowdistill import renamed
from flowdistill.training.atomic_io import AtomicCheckpointIO
from flowdistill.training.checkpoints import BEST, LAST, BestCheckpoint, Checkpoints, older_checkpoints
from flowdistill.training.ddflow import DDFlowModule
from flowdistill.training.dwarf import DwarfModule
from flowdistill.training.guards import NonFiniteLossError, NonFiniteWeightsError, OcclusionCollapseError
from flowdistill.training.joint_teacher import JointTeacher
from flowdistill.training.progress import train_row, validates_first
from flowdistill.training.run_folder import run_folder
from flowdistill.training.stop_together import StopTogether, slurm_run
from flowdistill.training.teachers import (
    AverageTeacher,
    CheckpointTeacher,
    OfflineTeacher,
    SnapshotTeacher,
    Teacher,
)
from flowdistill.training.tf32 import Tf32

__all__ = [
    "BEST",
    "LAST",
    "AtomicCheckpointIO",
    "AverageTeacher",
    "BestCheckpoint",
    "CheckpointTeacher",
    "Checkpoints",
    "DDFlowModule",
    "DwarfModule",
    "JointTeacher",
    "NonFiniteLossError",
    "NonFiniteWeightsError",
    "OcclusionCollapseError",
    "OfflineTeacher",
    "SnapshotTeacher",
    "StopTogether",
    "Teacher",
    "Tf32",
    "older_checkpoints",
    "run_folder",
    "slurm_run",
    "train_row",
    "validates_first",
]

__getattr__ = renamed.moved(__name__, {"BlindRunError": ("flowdistill.training", "OcclusionCollapseError")})
