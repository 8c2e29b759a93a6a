"""Data distillation: the teacher's flow supervises pixels that are occluded only for the student.

flow       # (B, 2, H, W) px, the teacher's cropped to the student's view
occluded   # (B, 1, H, W) bool
"""

from torch import Tensor

from flowdistill.losses.ranks import ALONE, Ranks
from flowdistill.losses.robust import robust_loss
from flowdistill.ops.precision import float32_island


def distillation_mask(occluded_student: Tensor, occluded_teacher: Tensor) -> Tensor:
    """Return (B, 1, H, W) bool: occluded in the student's crop, not occluded in the teacher's full view.

    Source: DDFlow (AAAI 2019), valid mask of the distillation loss.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import distillation_mask
        >>> student = torch.tensor([True, True, False]).view(1, 1, 1, 3)
        >>> teacher = torch.tensor([True, False, False]).view(1, 1, 1, 3)
        >>> distillation_mask(student, teacher)
        tensor([[[[False,  True, False]]]])
    """
    return occluded_student.bool() & ~occluded_teacher.bool()


@float32_island
def distillation_loss(
    flow_forward: Tensor,
    flow_backward: Tensor,
    teacher_flow_forward: Tensor,
    teacher_flow_backward: Tensor,
    mask_forward: Tensor,
    mask_backward: Tensor,
    ranks: Ranks = ALONE,
) -> Tensor:
    """Compute half the sum of both directions' robust losses of (teacher - student). Scalar.

    Args:
        flow_forward, flow_backward: the student's full-resolution flows, (B, 2, H, W) px.
        teacher_flow_forward, teacher_flow_backward: the teacher's, cropped to the same view; detached.
        mask_forward, mask_backward: `distillation_mask` of each direction, (B, 1, H, W).
        ranks: the processes that share the batch.

    Source: DDFlow (AAAI 2019), eq. for L_o, and its released code.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import distillation_loss
        >>> student, mask = torch.zeros(1, 2, 4, 4), torch.ones(1, 1, 4, 4)
        >>> teacher = torch.full((1, 2, 4, 4), 0.99)  # px; (0.99 + 0.01) ** 0.4 is 1 for x, and for y
        >>> loss = distillation_loss(student, student, teacher, teacher, mask, mask)
        >>> round(loss.item(), 4)
        1.0
    """
    forward, backward = (
        robust_loss(teacher.detach() - flow, mask.to(flow.dtype), ranks)
        for teacher, flow, mask in (
            (teacher_flow_forward, flow_forward, mask_forward),
            (teacher_flow_backward, flow_backward, mask_backward),
        )
    )
    return 0.5 * (forward + backward)
