"""A teacher that is trained along with its student, as its authors say of DDFlow's paper (AAAI 2019).

flow       # (B, 2, H, W) px, on the whole view, in both directions
occluded   # (B, 1, H, W) bool
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError
from flowdistill.losses import Schedule, occlusion_masks
from flowdistill.losses.schedule import positive_weights
from flowdistill.networks import DDFlowNet
from flowdistill.training.teachers import NetworkTeacher, TeacherLabels, network_of_checkpoint

_NOT_YET = -1


class JointTeacher(NetworkTeacher):
    """A network that learns from the whole view while it teaches: two trainings in one step.

    Its loss is the student's without distillation, on the whole view and with its own occlusion masks: in stage 3 that
    is stage 2's loss. Its flow and masks, without gradient, are the student's labels. So neither training changes the
    other's gradients, and both have Adam at the run's learning rate.

    It is trained at the steps at which it teaches, those with a positive distillation weight. Without a checkpoint it
    starts at the first of them, as a copy of the student: until then the two would be the same.

    Args:
        checkpoint: a .ckpt file of DDFlowModule to start from; its width may differ from the student's. None: a copy
            of the student.
        evaluated: which of the two networks validation, test, prediction and other users of the checkpoint take.
    """

    numbers = ("width", "started_at")

    def __init__(
        self, checkpoint: str | None = None, evaluated: Literal["student", "teacher"] = "student"
    ) -> None:
        super().__init__()
        if evaluated not in ("student", "teacher"):
            raise UserError(f"teacher.evaluated must be student or teacher, got {evaluated!r}")
        self.checkpoint = checkpoint
        self.evaluated = evaluated
        self.width = 1.0
        self.started_at = _NOT_YET  # step; 0 with a checkpoint

    def init_args(self) -> dict[str, Any]:
        return {"checkpoint": self.checkpoint, "evaluated": self.evaluated}

    @property
    def evaluated_network(self) -> DDFlowNet | None:
        """The teacher's network, if it is the one to evaluate and has started."""
        return self.network if self.evaluated == "teacher" and self.started_at != _NOT_YET else None

    def labels(self, batch: Batch) -> TeacherLabels:
        """Return the flow with its gradient, for the teacher's loss, and its masks."""
        if self.network is None:
            raise RuntimeError(
                "the teacher is not prepared: its labels are available only in a Trainer's fit"
            )
        forward, backward = (each.full for each in self.network(batch["left_t0"], batch["left_t1"]))
        return TeacherLabels(forward, backward, *occlusion_masks(forward, backward))

    def prepare(self, student: DDFlowNet) -> None:
        """Build the network, before the optimiser and DistributedDataParallel look for weights."""
        if self.checkpoint is None:
            self.adopt(copy.deepcopy(student))
            self.width = _width(student)
        else:
            network = network_of_checkpoint(Path(self.checkpoint))
            self.width, self.started_at = network.width, 0
            self.adopt(_like(student, network))

    def restore(self, state: Mapping[str, Tensor], student: DDFlowNet) -> None:
        # Its weights and numbers are loaded afterwards, with the student's.
        width = float(state["width"])
        copied = self.checkpoint is None and width == _width(student)
        self.adopt(copy.deepcopy(student) if copied else _like(student, DDFlowNet(width)))

    def before_teaching(self, student: DDFlowNet, step: int) -> None:
        if self.started_at == _NOT_YET:
            assert self.network is not None
            self.network.load_state_dict(student.state_dict())
            self.started_at = step

    def adopt(self, network: DDFlowNet) -> None:
        self.network = network.requires_grad_(True).train(self.training)

    def train(self, mode: bool = True) -> JointTeacher:
        """Follow the student's mode."""
        nn.Module.train(self, mode)
        return self


def _width(student: DDFlowNet) -> float:
    return float(getattr(student, "width", 1.0))  # a subclass's network may have none


def _like(student: DDFlowNet, network: DDFlowNet) -> DDFlowNet:
    """The network, with the student's settings of how to run."""
    network.checkpoint_activations = student.checkpoint_activations
    return network


def first_step_without_teacher_loss(
    own: Mapping[str, Schedule], distillation: Schedule, steps: int | None = None
) -> int | None:
    """Return the first step that distills with nothing to train the teacher on; None if there is none.

    Args:
        own: the weights of the teacher's loss.
        distillation: the weight of the distillation term.
        steps: length of the run, None: unlimited.

    Examples:
        >>> from flowdistill.losses import Schedule
        >>> from flowdistill.training.joint_teacher import first_step_without_teacher_loss
        >>> census = Schedule([(0, 1.0), (80, 0.0)], "step")
        >>> first_step_without_teacher_loss({"census_occlusion": census}, Schedule([(0, 1.0)]), steps=100)
        80
    """
    # A weight can only become 0 at a knot.
    for step in sorted({0, *(step for weight in (*own.values(), distillation) for step, _ in weight.knots)}):
        if (steps is None or step < steps) and distillation.at(step) > 0 and not positive_weights(own, step):
            return step
    return None
