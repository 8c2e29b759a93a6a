"""Mean of a number over samples, as a torchmetrics class."""

import torch
from torch import Tensor
from torchmetrics import Metric


class SampleMean(Metric):
    """Mean over samples, from the means of batches; NaN without samples, and if the mean of any batch is NaN.

    Unlike torchmetrics' MeanMetric it neither inspects the values (a host synchronisation) nor copies the weights to
    the device. Processes may have different numbers of samples.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import SampleMean
        >>> metric = SampleMean()
        >>> metric.update(torch.tensor(1.0), samples=3)
        >>> metric.update(torch.tensor(5.0), samples=1)
        >>> metric.compute()
        tensor(2.)
    """

    full_state_update = False
    is_differentiable = False

    total: Tensor  # () float32
    samples: Tensor  # () int64

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("samples", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, mean: Tensor, samples: int) -> None:
        """Add the mean () over a batch of `samples` samples."""
        self.total = self.total + mean.detach().float() * samples
        self.samples = self.samples + samples

    def compute(self) -> Tensor:
        """Return the mean, a float32 scalar."""
        return self.total / self.samples
