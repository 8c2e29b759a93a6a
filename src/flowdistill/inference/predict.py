"""Predict the motions of one sample."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flowdistill.data.sample import Batch, Sample, collate
from flowdistill.training.base import MotionModule


def predict_sample(model: MotionModule, sample: Sample) -> dict[str, npt.NDArray[Any]]:
    """Predict a sample, with the same result as `lightning predict`.

    Args:
        model: in evaluation mode, on any device.
        sample: with the images of the model's `view`, on the CPU.

    Returns:
        key of the batch contract -> (H, W, C) of the images' size: motions float32 px, masks bool.

    Examples:
        >>> import torch
        >>> from flowdistill.inference.predict import predict_sample
        >>> from flowdistill.training import DDFlowModule
        >>> model = DDFlowModule(losses={"census_no_occlusion": 1.0}, width=0.125).eval()
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 70, 100), "left_t1": torch.rand(3, 70, 100)}
        >>> sample["size"] = torch.tensor([70, 100])
        >>> prediction = predict_sample(model, sample)
        >>> prediction["flow"].shape, prediction["occluded"].dtype
        ((70, 100, 2), dtype('bool'))
    """
    batch = {
        key: value.to(model.device) if isinstance(value, Tensor) else value
        for key, value in collate([sample]).items()
    }
    with torch.inference_mode():
        prediction = model.predict_step(cast(Batch, batch), 0)
    return {key: to_array(value[0]) for key, value in prediction.items()}


def to_array(value: Tensor) -> npt.NDArray[Any]:
    """Convert (C, H, W) to (H, W, C) on the CPU; any floating-point type becomes float32.

    Examples:
        >>> import torch
        >>> from flowdistill.inference.predict import to_array
        >>> to_array(torch.zeros(2, 64, 96, dtype=torch.bfloat16)).shape
        (64, 96, 2)
    """
    on_cpu = value.detach().float().cpu() if value.dtype.is_floating_point else value.cpu()
    return np.ascontiguousarray(on_cpu.numpy().transpose(1, 2, 0))
