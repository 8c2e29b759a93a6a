"""Teachers for DDFlow's distillation stage: labels written beforehand, or a network that runs inside the step.

    flow       # (B, 2, H, W) px, on the whole view, in both directions
    occluded   # (B, 1, H, W) bool

Selected by class in YAML: `teacher: {class_path: AverageTeacher, init_args: {decay: 0.999}}`. Source: DDFlow (AAAI
2019). Its released code has a frozen teacher that saw whole frames and wrote its labels once: `OfflineTeacher`. In the
paper, as its authors say, the teacher is trained along with the student: `JointTeacher` (joint_teacher.py). The frozen
or averaged networks inside the step are ours.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.losses import occlusion_masks
from flowdistill.networks import DDFlowNet
from flowdistill.training.init_from import evaluated_checkpoint, network_weights, read_checkpoint

OPTION = "--model.init_args.teacher.checkpoint"


class TeacherLabels(NamedTuple):
    """A teacher's labels for a batch, forward and backward."""

    flow: Tensor  # (B, 2, H, W) px
    flow_backward: Tensor
    occluded: Tensor  # (B, 1, H, W) bool
    occluded_backward: Tensor


class Teacher(nn.Module, ABC):
    """Base class of all teachers. Their tensors, if any, are saved in the student's checkpoints as `teacher.*`.

    So are the attributes listed in `numbers`. These are plain attributes, not buffers: no step waits for them, and
    processes need not synchronise them.
    """

    numbers: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.train()

    @abstractmethod
    def labels(self, batch: Batch) -> TeacherLabels:
        """Return labels for the whole view of a batch; a gradient that they carry does not reach the student."""

    @property
    def ready(self) -> bool:
        """Whether the teacher can give labels; if not, `prepare` is called at the start of a run."""
        return True

    def prepare(self, student: DDFlowNet) -> None:
        """Called once before the first step of a run; the student has its initial weights."""

    def restore(self, state: Mapping[str, Tensor], student: DDFlowNet) -> None:
        """Called when a run is resumed: restore this teacher from its tensors in the checkpoint."""

    def before_teaching(self, student: DDFlowNet, step: int) -> None:
        """Called at each step with distillation, before `labels`."""

    def after_step(self, student: DDFlowNet) -> None:
        """Called after each optimiser step of the run."""

    def settings(self) -> dict[str, Any]:
        """The config from which this teacher can be built again."""
        return {"class_path": f"{type(self).__module__}.{type(self).__name__}", "init_args": self.init_args()}

    def init_args(self) -> dict[str, Any]:
        return {}

    def train(self, mode: bool = True) -> Teacher:
        """Stay in evaluation mode regardless of `mode`."""
        return super().train(False)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self.numbers:
            number = getattr(self, name)
            dtype = torch.float64 if isinstance(number, float) else torch.int64
            destination[prefix + name] = torch.tensor(number, dtype=dtype)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        keys = {prefix + name: name for name in self.numbers}
        for key, name in keys.items():
            if key in state_dict:
                setattr(self, name, state_dict[key].item())
            elif strict:
                missing_keys.append(key)
        others = {key: value for key, value in state_dict.items() if key not in keys}
        super()._load_from_state_dict(
            others, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class OfflineTeacher(Teacher):
    """Labels from files, provided with the batch: `teacher_flow`, `teacher_occluded` and their `_backward`.

    `lightning predict --prediction.layout labels` writes them; `labels=FOLDER` in a split line reads them.
    """

    def labels(self, batch: Batch) -> TeacherLabels:
        tensors = cast("dict[str, Tensor]", batch)
        keys = [f"teacher_{name}" for name in TeacherLabels._fields]
        missing = [key for key in keys if key not in tensors]
        if missing:
            raise UserError(
                f"OfflineTeacher: the batch ({', '.join(batch['name'])}) has no {', '.join(missing)}. Write labels of "
                "both directions with `lightning predict --prediction.layout labels --prediction.output FOLDER` and "
                "name the folder in the training split's lines, as in `000000_10 labels=FOLDER` (docs/ddflow.md)."
            )
        return TeacherLabels(*(tensors[key] for key in keys))


class NetworkTeacher(Teacher):
    """A frozen DDFlowNet that runs on the whole view inside the step, without gradients."""

    network: DDFlowNet | None

    def __init__(self) -> None:
        super().__init__()
        self.network = None

    @property
    def ready(self) -> bool:
        return self.network is not None

    @torch.no_grad()
    def labels(self, batch: Batch) -> TeacherLabels:
        if self.network is None:
            raise RuntimeError(
                "the teacher is not prepared: its labels are available only in a Trainer's fit"
            )
        forward, backward = self.network(batch["left_t0"], batch["left_t1"])
        return TeacherLabels(forward.full, backward.full, *occlusion_masks(forward.full, backward.full))

    def prepare(self, student: DDFlowNet) -> None:
        self.adopt(copy.deepcopy(student))

    def restore(self, state: Mapping[str, Tensor], student: DDFlowNet) -> None:
        self.prepare(student)  # the state dict is loaded afterwards, with the weights

    def adopt(self, network: DDFlowNet) -> None:
        """Use a network as the teacher: frozen, in evaluation mode."""
        self.network = network.requires_grad_(False).eval()


class CheckpointTeacher(NetworkTeacher):
    """The network of an earlier stage.

    Its weights are saved in this run's checkpoints: a resumed run keeps its teacher, even if the file is gone.

    Args:
        checkpoint: a .ckpt file of DDFlowModule; its width may differ from the student's. Needed for training only.
    """

    numbers = ("width",)

    def __init__(self, checkpoint: str | None = None) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.width = 1.0

    def init_args(self) -> dict[str, Any]:
        return {"checkpoint": self.checkpoint}

    def prepare(self, student: DDFlowNet) -> None:
        if self.checkpoint is None:
            raise UserError(f"CheckpointTeacher needs the teacher's file: {OPTION} FILE.ckpt")
        network = network_of_checkpoint(Path(self.checkpoint))
        self.width = network.width
        self.adopt(network)

    def restore(self, state: Mapping[str, Tensor], student: DDFlowNet) -> None:
        self.adopt(DDFlowNet(float(state["width"])))


class AverageTeacher(NetworkTeacher):
    """The exponential moving average of the student's weights, updated after each optimiser step.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the initial weights lose influence quickly.

    Args:
        decay: weight of the old average at each step, from 0 (the student itself) to just under 1.

    Source: Tarvainen and Valpola, "Mean teachers are better role models" (NIPS 2017).
    """

    numbers = ("updates",)

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise UserError(f"teacher.decay must be from 0 to just under 1, got {decay}")
        self.decay = decay
        self.updates = 0

    def init_args(self) -> dict[str, Any]:
        return {"decay": self.decay}

    @torch.no_grad()
    def after_step(self, student: DDFlowNet) -> None:
        assert self.network is not None
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages: list[Tensor] = list(self.network.parameters())
        weights: list[Tensor] = list(student.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)  # a few kernels in total


class SnapshotTeacher(NetworkTeacher):
    """A copy of the student, taken at the first step at which the distillation weight is positive."""

    numbers = ("taken_at",)

    def __init__(self) -> None:
        super().__init__()
        self.taken_at = -1  # step, -1: not yet

    def before_teaching(self, student: DDFlowNet, step: int) -> None:
        if self.taken_at < 0:
            assert self.network is not None
            self.network.load_state_dict(student.state_dict())
            self.taken_at = step


def network_of_checkpoint(path: Path) -> DDFlowNet:
    """Return the network of a checkpoint of DDFlowModule, of its own width; of two, the one that its run evaluated.

    Raises:
        UserError: the file is missing, or is not such a checkpoint.
    """
    where = f"{OPTION}: {path}"
    stored = evaluated_checkpoint(read_checkpoint(path, OPTION), where)
    # Checkpoints written before `width` was saved have the published width.
    network = DDFlowNet(float(stored.get("hyper_parameters", {}).get("width", 1.0)))
    network.load_state_dict(network_weights(stored, network, where))
    return network


def as_teacher(teacher: Teacher | Mapping[str, Any] | None) -> Teacher | None:
    """Return the teacher, built from its `settings()` if given as in a checkpoint.

    Raises:
        UserError: the settings name a class that is not a teacher.
    """
    if teacher is None or isinstance(teacher, Teacher):
        return teacher
    known = {kind.__name__: kind for kind in _kinds()}
    name = str(teacher["class_path"]).rpartition(".")[2]
    if name not in known:
        raise UserError(
            f"teacher: {teacher['class_path']!r} is not a teacher class; known: {', '.join(sorted(known))}"
        )
    return known[name](**teacher.get("init_args", {}))


def _kinds(base: type[Teacher] = Teacher) -> list[type[Teacher]]:
    """All teacher classes, including those defined outside this file."""
    found = [kind for child in base.__subclasses__() for kind in (child, *_kinds(child))]
    return [kind for kind in found if kind is not NetworkTeacher]
